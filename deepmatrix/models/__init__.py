"""Users' own models: identified by content, copied into a run with their files and inputs.

In come paths and arguments of ``verify``, and what a cell's inspection left; out go artifacts in
the store. Nothing here parses a model: it may be hostile, and containers are the boundary.
"""
