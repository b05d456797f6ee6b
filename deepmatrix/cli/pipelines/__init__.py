"""The commands that only CI needs, one module each.

In come parsed options; out go pages and lists for what runs the jobs. Every module has
``add_options``, which declares its options, and ``run``, whose docstring is the command's help.
"""
