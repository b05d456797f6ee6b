"""Workloads: networks with their data, the inputs of every job, and the gold evaluation.

In come the names of networks and a seed; out go weights, batches, float64 outputs and gradients.
"""
