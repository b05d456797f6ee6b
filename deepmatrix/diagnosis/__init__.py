"""Diagnosis: from an answer that is not right to its cause, the model's file or one node.

In comes a run with its records; out goes a cause for every drift, with what reproduces it.
"""
