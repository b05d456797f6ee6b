"""Execution: what runs when and where, retries, deadlines, turns on the CPU.

In comes a run with its plan, and an engine; out go records and artifacts in the run's directory.
"""
