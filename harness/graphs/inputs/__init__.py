"""Inputs of a model: what it declares, the user's own checked, sample inputs of legal values.

In: an ONNX model, or the entries that a runtime reads from one of another format; the user's arrays
and requests. Out: arrays by name. `declared` reads what a model declares, `sample_inputs` draws
arrays, `legal_values`, `vocabularies`, `thresholds` and `steering` say what the graph does with
them, `onnx_inputs` finds sizes that a model takes, `contradictions` says why it takes none of the
user's.
"""
