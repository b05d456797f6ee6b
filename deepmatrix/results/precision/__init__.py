"""What computing in less than float32 costs and gives.

In come costs, verdicts, times and sizes of models; out go rows of results.
"""
