"""The engine `docker`: cells in containers of a local or a remote Docker engine.

In come cells and tasks; out go images that are ready and how each process ended. The only room
that speaks to the Docker SDK.
"""
