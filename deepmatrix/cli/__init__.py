"""The command line: one module a command, the progress display, and how errors are shown.

In come arguments; out go calls of the other rooms, an exit code (see `deepmatrix.errors`) and
what the user reads. Nothing is planned, measured or judged here.

``commands`` plan, run and judge; ``maintenance`` writes files of this repository. The registry
`deepmatrix.cli.parser.COMMANDS` names them all.
"""
