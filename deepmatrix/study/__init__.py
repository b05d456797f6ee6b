"""The study of 2016: its statements as data, and what runs decide of each.

In come ``docs/claims.yaml`` and the results of runs; out goes a decision for each statement, for
the study's systems (*then*) and for their successors (*now*). A *check* names the evidence that
decides a statement, *evidence* is what a run says of a check, a *decision* is what follows.
"""
