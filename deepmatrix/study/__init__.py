"""The study of 2016: its statements as data, and what runs decide of each.

In come ``docs/claims.yaml`` and results; out goes a decision for each statement, then and now.
"""
