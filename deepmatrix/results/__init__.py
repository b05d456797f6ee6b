"""Results: merging a run's records into rows, with their statistics.

In come runs; out goes `Results`, the document behind ``results.json``, which all reports draw.
"""
