"""Execution: running the jobs of a plan, with deadlines, retries and turns on the CPUs.

In comes a run with its plan, and one engine or several; out go records and artifacts in the run's
directory.
"""
