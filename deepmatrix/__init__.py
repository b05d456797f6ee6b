"""The host: load the matrix file, plan, build, run, merge, judge, report.

The words, here and everywhere:

base        an operating-system root with one Python
system      a framework or a runtime: an entry of the matrix file
framework   a system that trains and exports
runtime     a system that loads an artifact and serves it; a framework may also do this
platform    base + architecture + device
cell        one framework or runtime, or a variant of it, on one platform, with its pinned packages
variant     a system that differs from another one by settings only
network     layers and their shapes, described once for all frameworks
workload    a network with its data, and how it is trained
phase       a part of a job: startup, parity, idiom, probe, passes, steps, train, deploy, infer
artifact    an exported model with sample inputs, its producer's outputs and gold
producer    the cell that exported an artifact
consumer    a cell that serves an artifact
gold        the outputs that errors are measured against: a float64 evaluation where there is one
wave        all jobs of one kind, produce or consume: a model is served once it is produced
stage       jobs that run before or after others: all of them are timed, or all are only checked
round       one repetition of the jobs, in fresh processes
job         a cell and its subject (a workload or an artifact) in one round
session     one process of a cell that serves a queue of jobs
record      the stored result of one job, phase by phase, and how the job ended
verdict     match, drift, error, unsupported or not-run: of an artifact on a consumer
run         one directory below ``runs/`` with all that one command planned, ran and found
"""

import os

__version__ = "0.1.0"

# numpy's matrix products here are small: more threads make the gold training several times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
