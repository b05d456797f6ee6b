"""The store: a run's directory with its records, artifacts and arrays.

In come typed values; out go files that are written whole or not at all, and typed values again.
Files of an untrusted process are checked here before anything uses them.
"""
