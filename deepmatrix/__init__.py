"""The host: load the matrix file, plan, build, run, merge, judge, report.

The words, here and everywhere:

base        an operating-system root with one Python
framework   what trains and exports
runtime     what loads an artifact and answers; a framework may also be one
platform    base + architecture + device
cell        one framework or runtime at one pinned version set on one platform: one image
workload    a network with its data
phase       what is done with a workload in a cell: startup, parity, train, deploy, infer
artifact    an exported model with the inputs it was tried on and its producer's outputs
round       one fresh process
job         one process: a cell and its subject (a workload, or an artifact) in one round
record      what one job said, phase by phase, and how it ended
verdict     what the host concludes for an artifact on a consumer
run         everything that one ``nox -s matrix`` planned, did and found
"""

import os

__version__ = "0.1.0"

# numpy's matrix products here are small: more threads make the gold training several times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
