"""What a process reported: ``output.json``, checked field by field.

In come the bytes of an untrusted process; out go typed values: `output` is the whole, `phases` has
the record of each phase, `conformance` those of a standard's own tests.
"""
