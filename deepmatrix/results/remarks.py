"""Remarks on all rows of a run: findings, warnings and problems, one line each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from deepmatrix.config.sections import Limits
from deepmatrix.engines.hardware import ASIDE, WORKER
from deepmatrix.judging.verdicts import ORDER
from deepmatrix.models.inputs import SHARED_INPUTS
from deepmatrix.planning.subjects import Refused
from deepmatrix.results.portability import range_option
from deepmatrix.results.rows import (
    CellRow,
    ModelRow,
    PortabilityRow,
    TrainingRow,
)
from deepmatrix.store.records import JobRecord
from deepmatrix.store.truths import REFERENCE
from harness.record import BASELINE, CONTESTED, DEPLOY, EVALUATIONS, FLOAT64, TRAIN, UNPROVEN

Remark = TypeVar("Remark", str, tuple[str, str])

#: Statuses and verdicts of success.
SUCCESS = ("ok", "match")


def findings(
    produced: Sequence[TrainingRow], portability: Sequence[PortabilityRow]
) -> Iterator[str]:
    """Yield the failures that were expected, those alike for one reason together."""
    alike: dict[tuple[str, str], list[str]] = {}
    for subject, status, reason in _expected(produced, portability):
        alike.setdefault((status, reason), []).append(subject)
    for (status, reason), subjects in alike.items():
        further = f" and {len(subjects) - 1} more" if len(subjects) > 1 else ""
        yield f"{subjects[0]}{further}: {status}: {reason}"


def _expected(
    produced: Sequence[TrainingRow], portability: Sequence[PortabilityRow]
) -> Iterator[tuple[str, str, str]]:
    """Yield of each failure that was expected what failed, how, and why it may."""
    for trained in produced:
        if trained.expected_failure:
            subject = f"{trained.cell}, {trained.workload}"
            yield subject, trained.status, trained.expected_failure
    for judged in portability:
        if judged.expected_failure and judged.verdict != "not-run":
            subject = f"{judged.title} on {judged.consumer}"
            yield subject, judged.verdict, judged.expected_failure


def unexpected_passes(
    produced: Sequence[TrainingRow],
    portability: Sequence[PortabilityRow],
    expected_failure: Callable[[str, str], str],
    phases: Collection[str],
) -> Iterator[str]:
    """Yield a warning for each expected failure that passes wherever it ran.

    A framework may be expected to fail at training or at exporting: a run that does not do both
    shows nothing of it.

    Args:
        produced: rows of the jobs of frameworks.
        portability: rows.
        expected_failure: returns why a cell may fail at a subject, or nothing.
        phases: those of the plan.
    """
    trains_and_exports = {TRAIN, DEPLOY} <= set(phases)
    outcomes = [
        (row.cell, row.workload, row.status)
        for row in produced
        if trains_and_exports or row.status not in SUCCESS
    ]
    outcomes += [(row.consumer, row.artifact, row.verdict) for row in portability]
    failed, passed = set(), set()
    for cell, subject, status in outcomes:
        if status in SUCCESS:
            passed.add(expected_failure(cell, subject))
        elif status != "not-run":
            failed.add(expected_failure(cell, subject))
    for reason in sorted(passed - failed - {""}):
        yield (
            "an expected failure no longer happens; remove it from expected-failures.yaml: "
            f"{reason}"
        )


def caution_of(row: PortabilityRow) -> str:
    """Return why a match proves little; where several outputs do, why the first of them does."""
    texts = (output.caution for output in row.outputs if output.caution)
    return next(texts, "") if row.verdict == "match" else ""


#: So many models are named in one remark on all of them.
NAMED = 3


def cautions(rows: Iterable[PortabilityRow]) -> Iterator[str]:
    """Yield why a match of an output proves little, with all models for which that is so.

    A reason that lies in gold holds on every cell that serves the model. One that lies in the
    tolerance of a cell may hold on some of them only: then these are named.
    """
    serving_cells: dict[str, set[str]] = {}
    cautioned_cells: dict[tuple[str, tuple[str, str]], set[str]] = {}
    for row in rows:
        if row.outputs:
            serving_cells.setdefault(row.title, set()).add(row.consumer)
        for output in row.outputs:
            if output.caution:
                remark = (output.name, output.caution)
                cautioned_cells.setdefault((row.title, remark), set()).add(row.consumer)

    def where(title: str, cells: set[str]) -> str:
        return "" if cells == serving_cells[title] else f" on {', '.join(sorted(cells))}"

    for titles, (output_name, caution), place in _alike(cautioned_cells, where):
        yield (
            f"{first_names(titles)}: a match of output {output_name}{place} proves little: "
            f"{caution}"
        )


#: A tolerance that a user may not expect: more than float32 costs most models.
WIDE = 0.01


def wide_tolerances(rows: Iterable[PortabilityRow]) -> Iterator[str]:
    """Yield, once for each tolerance and its cells, how much a match allows where that is much."""
    wide: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        if row.verdict == "match" and row.tolerance and row.tolerance >= WIDE and row.model:
            allowed = f"an error of {row.tolerance:.1%} ({row.basis})"
            if _is_in_steps(row):  # of an output that is zero everywhere they are any share
                allowed = row.basis
            wide.setdefault((row.title, allowed), set()).add(row.consumer)
    for titles, allowed, consumers in _alike(wide, lambda _, cells: ", ".join(sorted(cells))):
        yield (
            f"{first_names(titles)}: a match allows {allowed} on {consumers}; if you need less, "
            "set --max-error"
        )


def _alike(
    cells: Mapping[tuple[str, Remark], set[str]], where: Callable[[str, set[str]], str]
) -> Iterator[tuple[list[str], Remark, str]]:
    """Yield the models that one remark is on, the remark, and where it holds.

    Args:
        cells: by model and remark, where it holds.
        where: returns the words for that, of a model and its cells.
    """
    models: dict[tuple[Remark, str], list[str]] = {}
    for title, remark in sorted(cells):
        place = where(title, cells[title, remark])
        models.setdefault((remark, place), []).append(title)
    for (remark, place), titles in models.items():
        yield titles, remark, place


def first_names(names: Sequence[str]) -> str:
    """Return the first of some names, and how many others there are."""
    first, others = ", ".join(names[:NAMED]), len(names) - NAMED
    return f"{first} and {others} more" if others > 0 else first


def _is_in_steps(row: PortabilityRow) -> bool:
    """Return whether quantisation steps are what a consumer's worst output is allowed."""
    return any(
        output.steps is not None and output.steps.error == row.tolerance
        for output in row.outputs
        if output.name == row.worst_output
    )


def sample_inputs(models: Iterable[ModelRow]) -> Iterator[str]:
    """Yield, once for models alike, that they got sample inputs, and which need a meaning."""
    alike: dict[str, list[str]] = {}
    for model in models:
        if model.is_sampled:
            steered = "".join(
                f"; {entry.name} {entry.steers}: say what it is with {range_option(entry)}"
                for entry in model.inputs
                if entry.sampled and entry.steers and not entry.values
            )
            alike.setdefault(steered, []).append(model.name)
    for steered, names in alike.items():
        yield (
            f"{first_names(names)}: {'use' if len(names) > 1 else 'uses'} sample inputs; random "
            f"data may hide or exaggerate a difference; give real ones with --inputs{steered}"
        )


#: Sources of right values in the words that a user reads; others read well as they are.
SOURCES = {
    FLOAT64: "the model evaluated in float64",
    UNPROVEN: "the model evaluated in float64 (not all definitions are proven)",
    BASELINE: "ONNX Runtime without optimisations",
    CONTESTED: "ONNX Runtime without optimisations, which the float64 evaluation contradicts",
    REFERENCE: "your --reference",
}


def source_words(source: str) -> str:
    """Return where right values come from, in the words that a user reads."""
    return SOURCES.get(source, source)


def gold_sources(models: Iterable[ModelRow]) -> Iterator[str]:
    """Yield what judges users' own models where it is not a float64 evaluation, and why."""
    for model in models:
        random = set(model.random)
        outputs_by: dict[str, list[str]] = {}
        for name, source in model.judged_by.items():
            if source not in EVALUATIONS and name not in random:
                outputs_by.setdefault(source, []).append(name)
        for source, outputs in sorted(outputs_by.items()):
            is_own = source in (BASELINE, CONTESTED)
            yield (
                f"{model.name}: the right values of {', '.join(outputs)} are from: "
                f"{source_words(source)}; differences within the tolerance may be its own rounding"
                + is_own
                * ", and a match of ONNX Runtime does not say that its kernels are right"
            )
        for remark in model.remarks:
            yield f"{model.name}: {remark}"


def stateful(rows: Iterable[PortabilityRow], models: Iterable[ModelRow]) -> Iterator[str]:
    """Yield, once for each model, that it keeps state between calls, and where.

    A model whose outputs are random by design differs from call to call without any state.
    """
    random = {model.artifact for model in models if model.random}
    cells: dict[str, set[str]] = {}
    for row in rows:
        if row.stateful and row.artifact not in random:
            cells.setdefault(row.title, set()).add(row.consumer)
    for title, names in sorted(cells.items()):
        yield (
            f"{title}: stateful, it keeps state between calls; outputs are compared after a "
            f"fresh load ({', '.join(sorted(names))})"
        )


def unreadable(inspections: Iterable[JobRecord]) -> Iterator[str]:
    """Yield the models of users that no cell serves, each once: what is wrong with them."""
    records = list(inspections)
    for record in records:
        if record.status != "ok":
            shares = len(records) > 1 and record.has_wrong_inputs
            hint = f"; {SHARED_INPUTS}" if shares else ""
            yield f"{record.subject}: the model is not served: {record.model_problem}{hint}"


def refused(files: Iterable[Refused]) -> Iterator[str]:
    """Yield the files that a user named and that are no model, as those of `unreadable`."""
    for file in files:
        yield f"the model is not served: {file.reason}"


def not_pulled(cells: Iterable[CellRow]) -> Iterator[str]:
    """Yield the cells whose images were built though they had been pushed to a registry."""
    for row in cells:
        if row.not_pulled:
            yield f"{row.cell}: its image was built, and not pulled: {row.not_pulled}"


def of_run(engines: Mapping[str, Mapping[str, str]], limits: Limits) -> Iterator[str]:
    """Yield what a fleet's workers and the limits mean for a run: some failed, or disturbed it."""
    yield from put_aside(engines)
    yield from shared_machines(engines)
    yield from on_limits(limits)


def put_aside(engines: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield the workers that got nothing more to do in the run, and why."""
    for name, facts in engines.items():
        if reason := facts.get(ASIDE):
            yield f"{facts.get(WORKER, name)} was put aside, and got no more jobs: {reason}"


def shared_machines(engines: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield the workers that were on one machine: its records do not tell them apart."""
    workers: dict[str, set[str]] = {}
    for facts in engines.values():
        if WORKER in facts and (machine := facts.get("machine")):
            workers.setdefault(machine, set()).add(facts[WORKER])
    for names in workers.values():
        if len(names) > 1:
            yield (
                f"{', '.join(sorted(names))} were workers on one machine: no record says which of "
                "them made it, and what one checked may have disturbed what another timed"
            )


def on_limits(limits: Limits) -> Iterator[str]:
    """Yield what the limits of the processes mean for the times."""
    if limits.beside:
        yield (
            "checked work may have run beside what was timed (limits.beside): compare these times "
            "with those of such runs only"
        )


def problems(
    cells: Sequence[CellRow],
    produced: Sequence[TrainingRow],
    portability: Sequence[PortabilityRow],
) -> Iterator[str]:
    """Yield everything that makes the run exit with 1.

    Skipped cells and expected failures have their reason: they are not problems.
    """
    ran = {row.cell for row in cells if row.jobs}
    yield from filter(None, map(cell_problem, cells))
    for trained in produced:
        if trained.status != "ok" and trained.cell in ran and not trained.expected_failure:
            yield row_problem(trained)
    for judged in portability:
        if judged.consumer in ran and is_problem(judged):
            yield row_problem(judged)


def cell_problem(row: CellRow) -> str:
    """Return the line of a cell that was not built, or whose jobs have not all run, or nothing."""
    if row.status == "build-failed":
        return f"{row.cell}: not built: {row.reason}"
    if row.missing > 0:
        total = row.jobs + row.missing
        return f"{row.cell}: {row.missing} of {total} jobs have not run; finish with --resume"
    return ""


def is_problem(judged: PortabilityRow) -> bool:
    """Return whether a verdict is a problem; what judges itself is none."""
    return judged.verdict != "match" and not judged.expected_failure and not judged.judges


def row_problem(row: TrainingRow | PortabilityRow) -> str:
    """Return the line of a verdict or a training that is a problem."""
    if isinstance(row, TrainingRow):
        return f"{row.cell}, {row.workload}: {row.status}: {row.reason}"
    return f"{row.title} on {row.consumer}: {row.verdict}: {row.reason}"


def worst_first(rows: Sequence[PortabilityRow], problems: Sequence[str]) -> list[str]:
    """Return problems: wrong answers, then what is no verdict, then what could not be served."""
    verdicts = {row_problem(row): ORDER.index(row.verdict) for row in rows}
    between = ORDER.index("drift") - 0.5
    return sorted(problems, key=lambda problem: -verdicts.get(problem, between))
