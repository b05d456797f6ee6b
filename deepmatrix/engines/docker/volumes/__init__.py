"""Volumes of the engine: the harness in one that all containers share, and the sizes of theirs.

In: a connection, the harness's files. Out: the name of a filled volume; bytes as they grow.
"""
