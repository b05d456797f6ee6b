"""Runtimes: a folder for each, with all that the harness knows of it.

In: the path of an artifact and its inputs. Out: its outputs. `adapter` has the functions that
`harness.adapters` names for what loads an artifact and answers. The folders ``cpp`` and ``node``
are runners of their own, without Python; `harness/PROTOCOL.md` says what they do.
"""
