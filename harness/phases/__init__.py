"""The phases of a job: what is done in a cell with a workload, an artifact, a model or a suite.

In: the running job, with the control directory and the adapter, and an empty dict. Out: the
dict filled with what the phase measured, as it goes, so that a failure loses nothing; and files in
the control directory. A phase is a function (job, data) that raises where it fails.

A job with a workload: `workload` starts it and infers, `parity` compares its first step and its
idiom, `probing` tries probes, `training` times passes and trains, `deployment` exports.
A job with an artifact: `inference`. A user's own model: `inspection`, then `tracing` where its
first wrong node is searched. A standard's own tests: `conformance`.
"""
