"""Reuse: a run takes over the records of an earlier one that it would only repeat.

In come a job with all that its process gets, and an earlier run; out goes the record of that run,
with its artifacts, answers and log, where the same made it, or the first thing that changed.
The inputs of workloads are copied from a cache.
"""
