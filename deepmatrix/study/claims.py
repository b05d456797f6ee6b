"""The study's statements as data: what each says, and what decides it, then and now.

``docs/claims.yaml`` has them, in our own words. A check is one kind of evidence that a run can
hold; the statement holds where the check comes out as it says. *then* is of the systems of the
study, *now* of their successors.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat

from deepmatrix.config import documents
from deepmatrix.config.documents import Name, Problem, Section, Text, did_you_mean
from deepmatrix.paths import ROOT
from deepmatrix.workloads.probes import NAMES as PROBES

FILE = ROOT / "docs" / "claims.yaml"

AREAS = (
    "modeling capability",
    "interfaces",
    "model deployment",
    "performance",
    "architecture",
    "ecosystem",
    "cross-platform",
)

Figure = Literal[
    "import", "start", "first step", "step", "forward and backward", "lines", "image", "memory"
]

#: The keys of which a check has one: they say what kind of evidence it asks for.
KINDS = ("probe", "network", "figure", "cell", "artifact", "undecided")

#: Of a kind, the keys that it needs and those that it may have.
NEEDED = {
    "probe": {"of"},
    "network": {"of"},
    "figure": {"of"},
    "cell": set[str](),
    "artifact": {"consumer"},
    "undecided": set[str](),
}
ALLOWED = {
    "probe": {"ran", "error"},
    "network": {"error"},
    "figure": {"over", "workload", "at_least", "at_most"},
}

#: Keys of any check.
COMMON = {"expect", "stand_in"}


class Check(Section):
    """What decides a statement: exactly one of the first six keys, and what it needs.

    *probe*: a system can express it; or, with *ran*, what it came to there fits that glob.
    *network*: it trained the workload of this name, as gold does. *figure*: a number of a system,
    over another's where *over* names one, is *at_least* or *at_most* so much. *cell*: cells of this
    glob ran. *artifact*: artifacts of this glob matched on every *consumer* of that glob that read
    them. *undecided*: why nothing here can decide it. With *expect* false the statement holds where
    it is not so.

    A failure decides nothing, but for one that says what the system lacks: as unsupported, or by an
    *error* that has this text. *stand_in*: what was tried in place of what the statement names.
    """

    probe: Text | None = None
    network: Name | None = None
    figure: Figure | None = None
    cell: Text | None = None
    artifact: Text | None = None
    undecided: Text | None = None
    of: Name | None = None
    ran: Text | None = None
    error: Text | None = None
    over: Name | None = None
    workload: Name | None = None
    consumer: Text | None = None
    at_least: PositiveFloat | None = None
    at_most: PositiveFloat | None = None
    stand_in: Text | None = None
    expect: bool = True

    @property
    def kind(self) -> str:
        """Which evidence it asks for."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class Claim(Section):
    """One statement."""

    says: Text
    then: Check | None = None
    now: Check | None = None


class Claims(Section):
    """The document: statements by the area of the study."""

    version: Literal[1]
    claims: dict[Text, tuple[Claim, ...]]


def load(path: Path = FILE) -> Claims:
    """Load and check the statements.

    Raises:
        ArgumentError: the file is not there.
        ConfigError: it is wrong; one line a problem, each ``name:line:column: what``.
    """
    return documents.load(path, Claims, _problems)


def _problems(document: Claims) -> Iterator[Problem]:
    for area, claims in document.claims.items():
        if area not in AREAS:
            yield ("claims", area), f"no area '{area}'{did_you_mean(area, AREAS)}", True
        for index, claim in enumerate(claims):
            if claim.then is None and claim.now is None:
                said = "nothing decides it: write 'then', 'now' or both"
                yield ("claims", area, index), said, False
            for when in ("then", "now"):
                check = getattr(claim, when)
                for said in _wrong(check) if check else ():
                    yield ("claims", area, index, when), said, False


def _wrong(check: Check) -> Iterator[str]:
    kinds = [kind for kind in KINDS if getattr(check, kind) is not None]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        yield f"a check has one of {', '.join(KINDS)}; found {found}"
        return
    kind = kinds[0]
    given = check.model_fields_set - {kind} - COMMON
    needed, allowed = NEEDED[kind], ALLOWED.get(kind, set())
    for key in sorted(needed - given):
        yield f"a check of kind '{kind}' needs '{key}'"
    for key in sorted(given - needed - allowed):
        yield f"a check of kind '{kind}' has no '{key}'"
    if kind == "probe" and check.probe not in PROBES:
        yield f"no probe '{check.probe}'{did_you_mean(str(check.probe), PROBES)}"
    if kind == "figure" and (check.at_least is None) == (check.at_most is None):
        yield "a figure needs one of 'at_least' and 'at_most'"
