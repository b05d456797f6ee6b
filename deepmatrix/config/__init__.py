"""Configuration: what may stand in the files that people write, and where an error in them is.

In comes YAML; out go typed, checked models, or one `ConfigError` with file, line and column.
"""
