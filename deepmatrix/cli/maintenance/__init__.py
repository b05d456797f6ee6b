"""The commands that write files of this repository, one module each.

In come parsed options; out go pages, lock files and published schemas. Every module has
``add_options``, which declares its options, and ``run``, whose docstring is the command's help.
"""
