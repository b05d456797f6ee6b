"""Suites: models of a standard's own tests, each with inputs and the expected outputs.

In: a package that knows the standard, in the cell of that package. Out: cases, which the phase
``suite`` of `harness.phases.conformance` writes. A suite is a module with these functions:

``version()``
    Return what the suite is a version of, such as ``onnx 1.20.0``.
``cases()``
    Yield a dict for each case: "name"; "model", the bytes of its file, and "format", its format;
    "inputs", arrays by name, and "outputs", arrays, both in the model's order; "rtol" and "atol",
    the tolerances; or "name" and "skipped": why the case cannot run here.
"""
