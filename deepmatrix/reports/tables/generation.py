"""The table of generation: right tokens, their speed, and the memory of the cache."""

from __future__ import annotations

from collections.abc import Mapping

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Mood, Row, Table, judged_row, key, mark, native, number, text
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import GenerationRow

TOKENS = (
    "Tokens: the right ones before the first other one, of those wanted. At a `near tie` rounding "
    "decides between the right token and another: those after it are not compared."
)
PREFILL = "Prefill: tokens of the prompt per second, which the model takes in one call."
DECODE = (
    "Decode: tokens per second after the first, one a call, by the median of the calls; step: that "
    "median. In brackets the 95 % bootstrap interval if there are several rounds."
)
CACHE = "Cache: the keys and values that the model keeps of all tokens, at the end."


def generation(results: Results) -> Table:
    """Every model that generates on every cell that serves it; of a model the fastest first."""
    titles = {model.artifact: model.name for model in results.models}
    rows = sorted(
        results.generation,
        key=lambda row: (row.workload, row.emulated, row.step_s.median if row.step_s else 1e9),
    )
    return Table(
        title="Generation",
        columns=(
            key("cell"),
            key("model"),
            text("tokens", note=TOKENS),
            number("prefill", optional=1, note=PREFILL),
            number("decode", note=DECODE),
            number("step", optional=3),
            number("cache", optional=2, note=CACHE),
        ),
        rows=tuple(_row(row, titles) for row in rows),
        note="Greedy decoding, one sequence, with a cache.",
    )


def _row(row: GenerationRow, titles: Mapping[str, str]) -> Row:
    texts = (
        row.cell + mark(row.emulated),
        titles.get(row.artifact, row.artifact),
        f"{row.equal} of {row.steps}" + ", near tie" * bool(row.near_tie),
        native(numbers.rate(row.prefill_tokens_per_s), row.emulated),
        native(numbers.rate(row.decode_tokens_per_s), row.emulated),
        native(numbers.interval(row.step_s), row.emulated),
        numbers.size(row.cache_bytes),
    )
    mood: Mood = "bad" if row.fault else "plain" if row.near_tie else "good"
    return judged_row(texts, 2, mood, emulated=row.emulated)
