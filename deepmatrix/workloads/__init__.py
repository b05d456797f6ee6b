"""Workloads: networks with their data, the inputs of every job, and what gold makes of them.

In come the names of networks and a seed; out go weights, batches and float64 answers.
"""
