"""This machine: its other programs, locks, energy counters, emulation, package settings.

Knows nothing of cells or runs.
"""
