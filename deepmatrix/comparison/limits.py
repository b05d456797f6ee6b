"""Limits of a comparison: what ``--fail-on`` names, and the lines that break it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from deepmatrix.comparison import verdicts
from deepmatrix.comparison.changes import Comparison, SizeChange, TimeChange, VerdictChange
from deepmatrix.comparison.sizes import SAME_WITHIN
from deepmatrix.config.documents import did_you_mean
from deepmatrix.drawing import numbers
from deepmatrix.errors import ArgumentError
from deepmatrix.sizes import decimal_size

Name = Literal["new-failure", "changed", "drift", "slower", "larger", "hungrier"]

#: The quantities of those that are on sizes.
SIZES = {"larger": ("image", "artifact"), "hungrier": ("memory",)}

#: Those that take a share, and the one without any.
SHARES = {"slower": 0.0, **{name: SAME_WITHIN[first] for name, (first, *_) in SIZES.items()}}

#: A number as people write it, in bounds.
NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"

EXAMPLE = "new-failure,drift,slower:5%,larger:10%"

#: What is said of a comparison without anything to compare.
VOID = "nothing could be compared: no cell served or trained the same on both sides"


#: Any of the changes that a limit may hold.
AnyChange = VerdictChange | TimeChange | SizeChange


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One limit. *share*: what may be added; *growth*: how many times an error may be."""

    name: Name
    share: float = 0.0
    growth: float = verdicts.GROWTH


def parse(text: str) -> tuple[Limit, ...]:
    """Read ``new-failure,drift,slower:5%``. Raises ArgumentError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ArgumentError(
            f"--fail-on '{text}' has an empty limit",
            hint=f"put a comma only between two limits; for example {EXAMPLE}",
        )
    return tuple(map(_limit, parts))


def _limit(text: str) -> Limit:
    word, colon, value = text.partition(":")
    names: tuple[Name, ...] = get_args(Name)
    if word not in names:
        raise ArgumentError(
            f"--fail-on knows no '{word}'{did_you_mean(word, names)}",
            hint=f"it takes {', '.join(names)}; for example {EXAMPLE}",
        )
    name = names[names.index(word)]
    if name in SHARES:
        share = _number(text, value, NUMBER + r"\s*%", "5%") / 100 if colon else SHARES[name]
        return Limit(name=name, share=share)
    if name == "drift" and colon:
        growth = _number(text, value, NUMBER + r"\s*x", "10x")
        if growth < 1:
            raise ArgumentError(
                f"--fail-on {text}: the factor is below 1",
                hint="write how many times an error may grow, such as drift:2x",
            )
        return Limit(name=name, growth=growth)
    if colon:
        raise ArgumentError(f"--fail-on {text}: '{name}' takes no number", hint=f"write {name}")
    return Limit(name=name)


def _number(text: str, value: str, pattern: str, example: str) -> float:
    match = re.fullmatch(pattern, value.strip())
    if match is None:
        name = text.partition(":")[0]
        raise ArgumentError(
            f"--fail-on {text}: '{value}' is not an amount", hint=f"write it like {name}:{example}"
        )
    return float(match[1])


def growth_of(limits: Sequence[Limit]) -> float:
    """Return how many times an error has to grow to be named, so that no limit misses it."""
    growths = [limit.growth for limit in limits if limit.name == "drift"]
    return min([verdicts.GROWTH, *growths])


def shares_of(limits: Sequence[Limit]) -> dict[str, float]:
    """Return by how large a share a size has to change to be named: what no limit misses."""
    return {
        quantity: min(
            [share, *(limit.share for limit in limits if quantity in SIZES.get(limit.name, ()))]
        )
        for quantity, share in SAME_WITHIN.items()
    }


def describe_untimed(comparison: Comparison) -> str:
    """Return that no time could be compared, why, and what to do."""
    reasons = [f"{group.reason}: compare runs of one machine" for group in comparison.untimed]
    if comparison.single:
        reasons.append("one round on a side tells nothing, and `verify` has one; measure two")
        reasons[-1] += " versions with `compare --with`, or a preset with several rounds"
    return f"no time could be compared: {'; '.join(reasons) or 'no cell was timed on both sides'}"


def judge(comparison: Comparison, limits: Sequence[Limit]) -> Comparison:
    """Return a comparison with what breaks a limit: each change by name, and a line for all."""
    breaking = {limit: _breaking(comparison, limit) for limit in limits}
    names = {change: limit.name for limit, changes in breaking.items() for change in changes}
    marked = {
        part: tuple(
            change.model_copy(update={"breaks": names.get(change, "")})
            for change in getattr(comparison, part)
        )
        for part in ("failures", "changes", "drifts", "times", "sizes")
    }
    lines = tuple(dict.fromkeys(_lines(comparison, breaking)))
    return comparison.model_copy(update={**marked, "broken": lines})


def broken(comparison: Comparison, limits: Sequence[Limit]) -> tuple[str, ...]:
    """Return a line for everything that breaks a limit, each once.

    Any limit is broken where nothing could be compared with it, as one on times without any time.
    """
    return judge(comparison, limits).broken


def _lines(comparison: Comparison, breaking: Mapping[Limit, Sequence[AnyChange]]) -> Iterator[str]:
    for limit, changes in breaking.items():
        yield from _lines_of(comparison, limit, changes)
    if breaking and comparison.is_void:
        yield VOID


def _lines_of(comparison: Comparison, limit: Limit, changes: Sequence[AnyChange]) -> Iterator[str]:
    for change in changes:
        yield describe_broken(change.model_copy(update={"breaks": limit.name}))
    if limit.name == "slower" and not comparison.times and not comparison.is_void:
        yield f"slower: {describe_untimed(comparison)}"


def _breaking(comparison: Comparison, limit: Limit) -> Sequence[AnyChange]:
    """Return what breaks a limit."""
    match limit.name:
        case "new-failure":
            return comparison.failures
        case "changed":
            return comparison.changes
        case "drift":
            drifts = comparison.drifts
            return [
                drift for drift in drifts if drift.growth is None or drift.growth >= limit.growth
            ]
        case "slower":
            return too_slow(comparison, limit)
    return [
        size
        for size in comparison.sizes
        if size.quantity in SIZES[limit.name] and size.ratio > 1 + limit.share
    ]


def too_slow(comparison: Comparison, limit: Limit) -> list[TimeChange]:
    """Return what is certainly slower, by at least the share of a limit as measured."""
    return [change for change in comparison.slower if change.ratio >= 1 + limit.share]


def describe_broken(change: AnyChange) -> str:
    """Return a change as the line that says which limit it breaks."""
    if isinstance(change, VerdictChange):
        text = describe_verdict(change)
    elif isinstance(change, TimeChange):
        text = describe_time(change)
    else:
        text = describe_size(change)
    return f"{change.breaks.replace('-', ' ')}: {text}"


def describe_verdict(change: VerdictChange) -> str:
    """Return a changed verdict as a line."""
    place = f"{change.subject} on {change.place}"
    if change.kind != "serving":
        place = f"{change.place}, {change.kind} of {change.subject}"
    if change.base == change.head and bool(change.base_expected) == bool(change.head_expected):
        grown = f" ({numbers.ratio(change.growth)})" if change.growth else ""
        return f"{place}: error {_error(change.base_error)}, now {_error(change.head_error)}{grown}"
    reason = f": {change.reason}" if change.reason else ""
    before = f"{change.base} as expected" if change.base_expected else change.base
    after = f"{change.head} as expected" if change.head_expected else change.head
    return f"{place}: {before}, now {after}{reason}"


def describe_time(change: TimeChange) -> str:
    """Return a changed time as a line, with its interval."""
    amount = numbers.ratio(change.ratio, change.low, change.high).replace("\N{NO-BREAK SPACE}", " ")
    return f"{change.place}, {time_title(change)}: {amount}"


def time_title(change: TimeChange) -> str:
    """Return what a time is of."""
    if change.quantity == "all":
        return f"mean of {change.count} inferences"
    batch = f", batch {change.batch}" if change.batch else ""
    return f"{change.quantity}: {change.subject}{batch}"


def describe_size(change: SizeChange) -> str:
    """Return a changed size as a line."""
    subject = f" {change.subject}" if change.subject else ""
    amount = numbers.ratio(change.ratio)
    before, after = decimal_size(change.base), decimal_size(change.head)
    return f"{change.cell}, {change.quantity}{subject}: {before}, now {after} ({amount})"


def _error(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1e}"


def by_cell(changes: Sequence[TimeChange]) -> Iterator[tuple[TimeChange, str]]:
    """Yield, for each cell, the mean of its inferences, else its largest change, with a title.

    Each of its machines counts by itself.
    """
    cells: dict[str, list[TimeChange]] = {}
    for change in changes:
        cells.setdefault(change.place, []).append(change)
    for group in cells.values():
        change = next((mean for mean in group if mean.quantity == "all"), group[0])
        title = time_title(change)
        yield change, title if len(group) == 1 else f"{len(group)} times; {title}"
