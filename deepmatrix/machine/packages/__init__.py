"""Where this machine gets packages from, as far as an image build can use it.

In come environment variables and the configuration of pip and uv (`indexes`), of npm (`npm`) and
of apt (`apt`); out go the same settings for a build, and locked hashes by project.
"""
