"""Tables of models and trainings in less than float32.

In come results; out go tables that put them beside float32.
"""
