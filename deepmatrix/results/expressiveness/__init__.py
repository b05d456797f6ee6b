"""What a framework can express.

In come records of idioms, probes and facts; out go rows of results.
"""
