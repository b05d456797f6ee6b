"""Configuration: what the user's files may hold, and where an error in them is.

In comes YAML; out go typed, checked models, or one `ConfigError` with file, line and column.
"""
