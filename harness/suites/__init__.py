"""Suites: models of a standard's own tests, each with inputs and what they have to be answered.

A module a suite, made in the cell that knows the standard, with these functions:

``version()``
    Return what the suite is a version of, such as ``onnx 1.20.0``.
``cases()``
    Yield a dict a case: "name"; "model", the bytes of its file, and "form", its format; "inputs",
    arrays by name, and "outputs", arrays, both in the model's order; "rtol" and "atol", by which
    they may differ; or "name" and "skipped": why it cannot be tried here.
"""
