"""All of a user's own models at once: how many match, and a verdict for each on each consumer."""

from __future__ import annotations

from collections.abc import Sequence

from deepmatrix.drawing.layout import Column, Mood, Row, Table, mark
from deepmatrix.drawing.numbers import DASH
from deepmatrix.drawing.verdicts import MOODS, SIGNS
from deepmatrix.reports.tables.own_models import headlines
from deepmatrix.results.counting import EXPECTED, consumers
from deepmatrix.results.rows import ModelRow, PortabilityRow, Results

#: The title of the table that several models begin with.
TITLE = "Verdicts of all models"


def line(results: Results) -> tuple[str, Mood]:
    """Return how many models match on all consumers, and the mood of that."""
    moods = [headlines.headline(results, model)[1] for model in results.served_models]
    good = moods.count("good")
    mood: Mood = "good" if good == len(moods) else "bad" if "bad" in moods else "warned"
    text = f"{good} of {len(moods)} models match on all consumers"
    return headlines.with_budgets(results, text, mood)


def verdicts(results: Results, *, narrow: bool = False) -> Table:
    """Return a line a model and a column a consumer; without lines where there is one model.

    Where it has to be *narrow*, columns have numbers and signs, which the notes explain.
    """
    models = results.served_models
    rows = consumers(results.portability)
    emulated = {judged.consumer: judged.emulated for judged in rows}
    names = sorted(emulated, key=lambda name: (emulated[name], name))
    by_pair = {(judged.artifact, judged.consumer): judged for judged in rows}
    columns = [
        _column(number, name + mark(emulated[name]), narrow=narrow)
        for number, name in enumerate(names, 1)
    ]
    signs = ", ".join(f"{sign} {word}" for word, sign in SIGNS.items())
    return Table(
        title=TITLE,
        columns=(Column("model", key=True), *columns),
        rows=tuple(
            _row(model, [by_pair.get((model.artifact, name)) for name in names], narrow=narrow)
            for model in models
            if len(models) > 1
        ),
        note=f"{signs}." if narrow else "",
    )


def _column(number: int, name: str, *, narrow: bool) -> Column:
    return Column(str(number), note=f"{number}: {name}.") if narrow else Column(name)


def _row(model: ModelRow, row: Sequence[PortabilityRow | None], *, narrow: bool) -> Row:
    texts = tuple(_field(judged, narrow=narrow) for judged in row)
    return Row(texts=(model.name, *texts), moods=("plain", *map(_mood, row)))


def _field(judged: PortabilityRow | None, *, narrow: bool) -> str:
    """Return a verdict; the model may have a format that the consumer does not read."""
    if judged is None:
        return "" if narrow else DASH
    if narrow:
        return SIGNS[judged.verdict]
    expected = f" ({EXPECTED})" if judged.expected_failure else ""
    return f"{SIGNS[judged.verdict]} {judged.verdict}{expected}"


def _mood(judged: PortabilityRow | None) -> Mood:
    if judged is None or judged.expected_failure:
        return "muted"
    return MOODS[judged.verdict]
