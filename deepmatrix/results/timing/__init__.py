"""Times: raw samples become medians with intervals, and shares of the machine's peak.

In come records; out go rows of times. `statistics` knows nothing of records.
"""
