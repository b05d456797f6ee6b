"""Judging: how far answers are from gold, what of it is tolerated, and the verdict.

In come records and arrays of a run; out go errors, parity, tolerances and verdicts. Nothing here
runs a process or draws a table.
"""
