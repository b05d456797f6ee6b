"""Conformance: a standard's own tests in every cell that claims to keep it.

In comes a run whose engine is open; out go the outcomes of each cell, held against a baseline.
"""
