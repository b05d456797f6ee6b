"""Rows of what a framework can express: idioms, probes, facts, adjusted defaults."""

from __future__ import annotations

from typing import Literal

from deepmatrix.boundary.bounds import Count, Measure
from deepmatrix.results.timing.rows import Row


class IdiomRow(Row):
    """A network in a framework's own idiom: its logical lines, and whether it matches gold.

    *expected_failure*: why it may fail.
    """

    cell: str
    workload: str
    emulated: bool
    status: str
    reason: str = ""
    expected_failure: str = ""
    lines: Count | None = None
    error: Measure | None = None


class ProbeRow(Row):
    """One capability of a framework, checked by its numbers.

    *workload*: that of the job that ran the probe. *ran*: the framework's function that the
    probe called. *outside*: what of it Python did, because the framework's graph or net did not.
    """

    cell: str
    probe: str
    workload: str = ""
    emulated: bool
    verdict: Literal["match", "wrong", "failed", "unsupported"]
    error: Measure | None = None
    reason: str = ""
    ran: str = ""
    outside: str = ""


class FactRow(Row):
    """What the installed files of a framework say of it, or small programs that ran beside it.

    *workload*: that of the job that looked. *evidence*: what was seen. *holds*: None where that is
    a matter of judgement, and where nothing could be read; only then *reason* says why.
    """

    cell: str
    fact: str
    workload: str
    holds: bool | None = None
    evidence: str = ""
    reason: str = ""


class NoteRow(Row):
    """A framework's default that differs from the neutral description and was set to agree."""

    name: str
    about: str
    note: str
