"""Comparison: what changed between two runs, what of it breaks a limit, and a run's history.

In come the results of runs; out go a `Comparison`, the document behind ``compare --json``, the
lines that break the limits of ``--fail-on``, the file of accepted verdicts, and the file that every
run adds its measurements to. Nothing here runs a process or draws a table.
"""
