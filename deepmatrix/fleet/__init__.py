"""The fleet: engines of other machines, behind the scheduler of a Dask cluster.

In come a scheduler's address and a folder of certificates. Out come engines, one for each worker,
which `deepmatrix.execution` uses like one of this machine: a process's files go to the worker by
their digests, and its results come back as one archive. Where everything is, the workers know by
themselves: no file system is shared.

A worker is ``deepmatrix worker`` on another machine: it offers what its own engine can run, and
runs it there. Whoever holds a certificate of a fleet can run any program on its machines: Dask
sends functions as pickles. The processes of cells are not trusted, here as on one machine.

This room needs the extra ``fleet``: Dask, and cryptography for the certificates.
"""
