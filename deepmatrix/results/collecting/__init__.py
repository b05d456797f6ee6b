"""Collecting: the records of a run become what its results are made of, cell by cell.

In come runs; out goes `Collected`. Cells know nothing of each other here, so that several processes
share them.
"""
