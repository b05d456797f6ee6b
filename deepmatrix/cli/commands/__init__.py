"""The commands that plan, run and judge, one module each.

In come parsed options; out go calls of other rooms and what the user reads. Every module has
``add_options``, which declares its options, and ``run``, whose docstring is the command's help.
"""
