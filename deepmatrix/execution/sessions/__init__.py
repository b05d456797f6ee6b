"""Sessions: processes of a cell that serve several jobs, and the lanes that they run in.

In come the jobs of a wave; out goes each job's attempt, in the order in which it ends.
"""
