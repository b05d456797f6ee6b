"""The checks that decide a statement: one class for each kind of evidence a run can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, PositiveFloat, Tag
from pydantic_core import PydanticCustomError

from deepmatrix.config.documents import Name, Section, Text

Figure = Literal[
    "import",
    "start",
    "first step",
    "step",
    "operation",
    "forward and backward",
    "lines",
    "layer",
    "image",
    "packages",
    "shared objects",
]


class BaseCheck(Section):
    """What all checks have.

    The statement holds where the evidence says yes, with *expect* false where it says no.
    *stand_in*: what was tried in place of what the statement names.
    """

    kind: ClassVar[str]
    stand_in: Text | None = None
    expect: bool = True


class ProbeCheck(BaseCheck):
    """A system can express a probe; with *ran*, the convolution that it called matches that glob.

    Of the failures only ``unsupported`` counts as "it cannot". What Python did outside the graph
    decides nothing.
    """

    kind = "probe"
    probe: Text
    of: Name
    ran: Text | None = None


class FactCheck(BaseCheck):
    """The installed files of a system, or small programs beside it, say that a fact holds."""

    kind = "fact"
    fact: Name
    of: Name


class NetworkCheck(BaseCheck):
    """A system trained all of the workloads *networks*, to the accuracy that each has to reach.

    An accuracy that is not well above chance does not count.
    Of the failures only ``unsupported`` counts as "it cannot".
    """

    kind = "networks"
    networks: tuple[Name, ...] = Field(min_length=1)
    of: Name


class IdiomCheck(BaseCheck):
    """A system's idiom of the workload *idiom*, a program by its own interface, equals gold."""

    kind = "idiom"
    idiom: Name
    of: Name


class FigureCheck(BaseCheck):
    """A number of a system, over that of another, is *at_least* or *at_most* a bound.

    On all of *workloads*. *bound_from*: where a bound other than 1 comes from.
    """

    kind = "figure"
    figure: Figure
    of: Name
    over: Name
    workloads: tuple[Name, ...] = ()
    at_least: PositiveFloat | None = None
    at_most: PositiveFloat | None = None
    bound_from: Text | None = None

    @property
    def bound(self) -> float:
        """The one of the two bounds that is set."""
        return self.at_least or self.at_most or 0.0


class CellCheck(BaseCheck):
    """A cell of this glob ran. That none did decides nothing, whoever excluded it."""

    kind = "cell"
    cell: Text


class ArtifactCheck(BaseCheck):
    """Artifacts of this glob matched on every *consumer* of that glob that read them."""

    kind = "artifact"
    artifact: Text
    consumer: Text


class NoCheck(BaseCheck):
    """Nothing here can decide the statement; *undecided* says why."""

    kind = "undecided"
    undecided: Text


class UntriedCheck(BaseCheck):
    """No run here tries the statement, though a run could; *untried* says what is not tried."""

    kind = "untried"
    untried: Text


KINDS = tuple(
    check_class.kind
    for check_class in (
        ProbeCheck,
        FactCheck,
        NetworkCheck,
        IdiomCheck,
        FigureCheck,
        CellCheck,
        ArtifactCheck,
        NoCheck,
        UntriedCheck,
    )
)


def _check_kinds(value: object) -> object:
    """Refuse a mapping that has none or several of the keys that name a kind."""
    if isinstance(value, BaseCheck):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("dict_type", "not a mapping")
    kinds = [kind for kind in KINDS if kind in value]
    if len(kinds) != 1:
        raise PydanticCustomError(
            "complete",
            "a check has one of {kinds}; found {found}",
            {"kinds": ", ".join(KINDS), "found": " and ".join(kinds) or "none"},
        )
    return value


def _tag(value: Mapping[str, object] | BaseCheck) -> str:
    """Return the tag of a check's class: the one key that names its kind."""
    if isinstance(value, BaseCheck):
        return f"[{value.kind}]"
    return next(f"[{kind}]" for kind in KINDS if kind in value)


Check = Annotated[
    Annotated[ProbeCheck, Tag("[probe]")]
    | Annotated[FactCheck, Tag("[fact]")]
    | Annotated[NetworkCheck, Tag("[networks]")]
    | Annotated[IdiomCheck, Tag("[idiom]")]
    | Annotated[FigureCheck, Tag("[figure]")]
    | Annotated[CellCheck, Tag("[cell]")]
    | Annotated[ArtifactCheck, Tag("[artifact]")]
    | Annotated[NoCheck, Tag("[undecided]")]
    | Annotated[UntriedCheck, Tag("[untried]")],
    Discriminator(_tag),
    BeforeValidator(_check_kinds),
]
"""One of the checks; in a document the key that names its kind tells which."""
