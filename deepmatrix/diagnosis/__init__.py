"""Diagnosis: from a wrong output to its cause, in the model's file or at one node of a runtime.

In comes a run with its records; out goes a cause for every drift, with a command to reproduce it.
"""
