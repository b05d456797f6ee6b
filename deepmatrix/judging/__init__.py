"""Judging: how far outputs are from gold, what is tolerated, and the verdict.

In come records and arrays of a run; out go errors, parity, tolerances, verdicts and noisy jobs.
Nothing here runs a process or draws a table.
"""
