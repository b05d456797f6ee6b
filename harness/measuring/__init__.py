"""Measurements that are apart from any phase: clocks, the machine, and proofs of the arithmetic.

In: a function to time, a job, an adapter's description. Out: raw samples and facts as dicts for
``output.json``; statistics belong to the host.

`timing` has the clocks, `canary` the speed of the machine at this moment, `machine` what the
process runs on, `openblas` the OpenBLAS of a framework, `cold_start` an empty file cache before
the import, `selftest` exact matrix products.
"""
