"""Planning: which cells run, in which waves and rounds, and why the others do not.

In come the matrix file, a selection and what the engine can do; out goes a `Plan`. Pure: reads no
file, asks no engine.
"""
