"""Conformance: a standard's own tests in every cell that claims to implement it.

In comes a run whose engine is open; out go the outcomes of each cell, compared with a baseline.
"""
