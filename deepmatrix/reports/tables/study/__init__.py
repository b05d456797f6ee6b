"""Tables of the study: its statements as decided, its latencies beside this run's.

In come decisions or results; out go tables.
"""
