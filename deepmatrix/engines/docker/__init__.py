"""The engine `docker`: cells in containers of a local or a remote Docker engine.

In come cells and tasks; out go images that are ready and how each process ended. Only this room
uses the Docker SDK. `endpoints` says where an engine may answer, `connection` speaks to it,
`containers` and `following` run one process, `volumes` ships the harness, `leftovers`
removes what dead runs left, and `engine` puts them together.
"""
