"""Execution: running the jobs of a plan, with deadlines, retries and turns on the CPUs.

In comes a run with its plan, and an engine; out go records and artifacts in the run's directory.
"""
