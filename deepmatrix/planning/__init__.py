"""Planning: which cells run, in which waves and rounds, and why the others do not.

In come the matrix, a selection and what the engine can do; out goes a `Plan`: of a matrix, of
users' own models, or of a suite. Pure: reads no file, asks no engine.
"""
