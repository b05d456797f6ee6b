"""This machine: running its programs, locks, energy counters, emulation, package settings.

In come commands, paths and environment variables; out go outputs, readings and settings. Knows
nothing of cells or runs.
"""
