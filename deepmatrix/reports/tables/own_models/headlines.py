"""What stands above a model's tables: its verdict, where the right values come from, repeats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deepmatrix.drawing.layout import Mood, shortened, shortened_name
from deepmatrix.judging.verdicts import ORDER
from deepmatrix.results import remarks
from deepmatrix.results.counting import EXPECTED, verdict_counts
from deepmatrix.results.rows import ModelRow, PortabilityRow, Results


def rows_of(results: Results, model: ModelRow) -> list[PortabilityRow]:
    """Return the verdicts of a model: what is wrong first, native before emulated."""
    return sorted(
        results.verdicts_of(model.artifact),
        key=lambda judged: (
            judged.judges,
            -ORDER.index(judged.verdict),
            judged.emulated,
            judged.consumer,
        ),
    )


def headline(results: Results, model: ModelRow) -> tuple[str, Mood]:
    """Return the verdict of a model in one line, and its mood.

    The budgets of a run belong to the verdict where it has one model.
    """
    text, mood = summarise(model, rows_of(results, model))
    return (text, mood) if len(results.served_models) > 1 else with_budgets(results, text, mood)


def with_budgets(results: Results, text: str, mood: Mood) -> tuple[str, Mood]:
    """Return a line and its mood, with how many figures are over their budget."""
    count = len(results.over_budget)
    return (f"{text}; {count} over budget", "bad") if count else (text, mood)


def summarise(model: ModelRow, judged_rows: Sequence[PortabilityRow]) -> tuple[str, Mood]:
    """Return the verdict of a model in one line, and its mood, from rows of one run or several."""
    counts = verdict_counts(judged_rows)
    total = sum(counts.values())
    name = shortened(_short_path(model.source) or model.name, LONGEST_SOURCE)
    if not total:
        return f"{name}: served by nothing but the evaluator", "warned"
    parts = [
        f"{counts['match']} of {total} consumer{'s' * (total != 1)} "
        f"match{'es' * (1 in (counts['match'], total))}",
        *_counted(counts["drift"], "drifts", "drift"),
        *_counted(counts["error"], "fails", "fail"),
        *_counted(counts["unsupported"], "does not support it", "do not support it"),
        *_counted(counts["not-run"], "is not judged", "are not judged"),
        *_counted(counts[EXPECTED], "fails as expected", "fail as expected"),
    ]
    mood: Mood = "good" if counts["match"] + counts[EXPECTED] == total else "warned"
    if counts["drift"] or counts["error"]:
        mood = "bad"
    return f"{name}: {', '.join(parts)}", mood


#: A path that is longer, in characters, is named by its end.
LONGEST_PATH = 60

#: The longest name of a model in a verdict, in characters.
LONGEST_SOURCE = 120


def _short_path(path: str) -> str:
    if len(path) <= LONGEST_PATH:
        return path
    return "…/" + "/".join(path.split("/")[-2:])


def _counted(count: int, singular: str, plural: str) -> Iterator[str]:
    if count:
        yield f"{count} {singular if count == 1 else plural}"


def judge_line(model: ModelRow) -> str:
    """Return where the right values come from, by output where that differs."""
    sources: dict[str, list[str]] = {}
    for output, source in model.judged_by.items():
        sources.setdefault(remarks.source_words(source), []).append(shortened_name(output))
    reader = f"the model was read by {inspector_name(model)}, in {model.inspector}"
    if not sources:
        return f"gold: nothing gives the right values ({reader})"
    parts = [f"of {', '.join(outputs)} {source}" for source, outputs in sources.items()]
    words = "; ".join(parts) if len(parts) > 1 else next(iter(sources))
    return f"gold, the right values: {words} ({reader})"


def inspector_name(model: ModelRow) -> str:
    """Return what the cell is that read a model first."""
    return "the standard's evaluator" if model.evaluator else "the format's own runtime"


def repeats_line(results: Results, model: ModelRow) -> str:
    """Return how often consumers answered with the same bits each time, empty where none did."""
    alike: dict[tuple[str, str, bool], list[float]] = {}
    for judged in rows_of(results, model):
        if judged.repeatable and not judged.judges:
            key = (*_repeated(judged.repeats), not judged.threads_apart)
            alike.setdefault(key, []).append(judged.threads_apart)
    return "; ".join(
        f"{repeats}{' with ' * bool(threads)}{threads}: {_same_bits(threads, apart)}"
        for (repeats, threads, _), apart in sorted(alike.items(), reverse=True)
    )


def _repeated(repeats: Mapping[str, int]) -> tuple[str, str]:
    """Return how many answers were compared, and with how many threads.

    Runtimes without Python answer twice.
    """
    if not repeats:
        return "2 repeats", ""
    threads = " and ".join(sorted(repeats))
    return f"{max(repeats.values())} repeats", f"{threads} thread{'s' * (threads != '1')}"


def _same_bits(threads: str, apart: Sequence[float]) -> str:
    """Return on how many consumers bits are the same; *apart*: how far threads set them apart."""
    consumers = f"on {len(apart)} consumer{'s' * (len(apart) != 1)}"
    if not any(apart):
        return f"same bits {consumers}"
    differ = f"{threads} differ by {max(apart):.1e} at most"
    return f"same bits with each number of threads {consumers}; {differ}"
