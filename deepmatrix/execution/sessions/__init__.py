"""Sessions: processes of a cell that serve several jobs, and the lanes that they run in.

In come the jobs of some waves; out go the stages that they are served in, and their sessions.
"""
