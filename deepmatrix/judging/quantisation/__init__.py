"""Quantised models: the steps that their outputs are compared by, and what quantisation costs.

In come gold and answers; out go the steps that are allowed, and costs against an original.
"""
