"""Settling: what judges the outputs of users' own models, once all consumers have answered.

Where neither a reference nor an evaluation judges an output, the agreement of the consumers does.
If all libraries agree with one another against the evaluation, they win, and the difference is a
finding about the evaluator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from deepmatrix.boundary.bounds import cut
from deepmatrix.judging import deviations
from deepmatrix.judging.consensus import (
    Group,
    Vote,
    describe_difference,
    distance,
    largest_group,
)
from deepmatrix.judging.masked import judged_values
from deepmatrix.judging.quantised_steps import allowed_steps
from deepmatrix.judging.verdicts import terms_of
from deepmatrix.models import imports
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Job, first_consumption
from deepmatrix.planning.subjects import Import
from deepmatrix.store import answers, arrays, truths
from deepmatrix.store.arrays import Values
from deepmatrix.store.records import Agreement, JobRecord
from deepmatrix.store.runs import Run
from deepmatrix.store.truths import Truth
from harness.record import BASELINE, CONTESTED, EVALUATIONS, UNPROVEN

#: The library that computes the baseline.
BASELINE_LIBRARY = "onnxruntime"

NO_JUDGE = (
    "no gold: no evaluation, and no two libraries agree; pass the right outputs with --reference"
)

UNDECIDED = (
    "the evaluation and ONNX Runtime without optimisations contradict each other, and the "
    "libraries do not decide between them; serve it with more libraries, or pass the right outputs "
    "with --reference"
)

UNCONFIRMED = (
    "the evaluation's definitions are not all proven, and no library confirms it; serve the model "
    "with more libraries, or pass the right outputs with --reference"
)


def settle(run: Run) -> None:
    """Judge the outputs of users' own models that only their consumers can judge.

    Raises:
        RecordError: a file of the run is damaged.
    """
    for model in run.manifest.plan.imports:
        if run.artifact_path(model.artifact).is_dir():
            _Settlement(run=run, model=model).settle()


@dataclass(frozen=True, kw_only=True)
class _Answered:
    """A consumer's record of a model, and its answers by name of output, in the model's order."""

    cell: Cell
    job: Job
    record: JobRecord
    outputs: Mapping[str, Values]

    def output(self, number: int, name: str) -> Values:
        """Return the answer for an output: by its name, or by its place if it has another one."""
        return self.outputs[name] if name in self.outputs else list(self.outputs.values())[number]


@dataclass(frozen=True, kw_only=True)
class _Settlement:
    """The settling of one model."""

    run: Run
    model: Import

    def settle(self) -> None:
        """Write what judges the model now, and judge its consumers by that."""
        folder = self.run.artifact_path(self.model.artifact)
        read = truths.read(folder)
        answered = self._answered()
        truth = self._narrowed(read, answered)
        settled: Truth | None = None if truth is read else truth
        if self.run.manifest.plan.follows(self.model):
            settled = self._followed(truth, answered)
        elif truth.agreed or not truth.gold:
            settled = self._agreed(truth, answered)
        else:
            settled = self._overruled(truth, answered) or settled
        if doubts := list(self._doubts(truth, answered)):
            settled = replace(settled or truth, remarks=(*truth.remarks, *doubts))
        if settled is None and not truth.evaluations and not truth.baseline_errors:
            return
        if settled is not None:
            truths.replace(folder, settled)
        else:  # an interruption may have left consumers that were judged before
            settled = truth
        for entry in answered:
            agreement = deviations.compare(entry.outputs, settled)
            self.run.save(entry.job, entry.record.changed(agreement=agreement))

    def _answered(self) -> list[_Answered]:
        return list(filter(None, map(self._answers_of, self._consumers())))

    def _consumers(self) -> list[Cell]:
        return self.run.manifest.plan.consumers(self.model.format)

    def _answers_of(self, cell: Cell) -> _Answered | None:
        artifact = self.model.artifact
        job = first_consumption(cell.id, artifact)
        if not self.run.record_path(job).is_file():
            return None
        record = self.run.record(job)
        outputs = answers.read(self.run, artifact, cell.id) if record.status == "ok" else None
        if not outputs:
            return None
        return _Answered(cell=cell, job=job, record=record, outputs=outputs)

    def _followed(self, truth: Truth, answered: Sequence[_Answered]) -> Truth | None:
        """Return gold as the first model has it now, None before the names of outputs are known."""
        names = list(truth.gold) or [name for entry in answered[:1] for name in entry.outputs]
        if not names:
            return None
        try:
            return imports.follow_first(self.run, truth, names)
        except arrays.Unreadable as error:  # it was kept before the first one had gold
            outputs = answered[0].outputs
            return replace(
                truth, gold=outputs, produced=outputs, unjudged=dict.fromkeys(outputs, str(error))
            )

    def _agreed(self, truth: Truth, answered: Sequence[_Answered]) -> Truth | None:
        """Return gold by agreement of the consumers for a model that has none."""
        counts = Counter(len(entry.outputs) for entry in answered)
        if not counts:
            return None
        count = counts.most_common(1)[0][0]
        comparable = [entry for entry in answered if len(entry.outputs) == count]
        voters = [entry for entry in comparable if self._is_independent(entry.cell)]
        gold, produced, sources, unjudged = {}, {}, {}, {}
        for number, name in enumerate(comparable[0].outputs):
            votes = self._votes(truth, voters or comparable, number, name)
            group = self._largest_group(truth, name, votes)
            if group is None or len(group.libraries) < 2:  # a library does not prove itself
                gold[name] = produced[name] = votes[0].value
                unjudged[name] = NO_JUDGE
            else:
                gold[name], produced[name] = group.value, group.farthest
                sources[name] = describe(group)
        return replace(
            truth,
            gold=gold,
            produced=produced,
            sources=sources,
            unjudged=unjudged,
            rounded=frozenset(gold),
            agreed=True,
        )

    def _narrowed(self, truth: Truth, answered: Sequence[_Answered]) -> Truth:
        """Return gold in which no tolerance scales with an error that ONNX Runtime alone makes.

        Where only its cells have answered, or all others err as much, that is what rounding costs.
        """
        if not any(truth.baseline_errors.values()):
            return truth
        narrow = replace(truth, baseline_errors={})
        better = {
            name
            for entry in answered
            if self._is_independent(entry.cell) and entry.cell.library != BASELINE_LIBRARY
            for agreement in [deviations.compare(entry.outputs, narrow)]
            for name in truth.baseline_errors
            if self._is_right(entry, name, agreement)
        }
        errors = {**truth.baseline_errors, **dict.fromkeys(better, 0.0)}
        return replace(truth, baseline_errors=errors) if better else truth

    def _overruled(self, truth: Truth, answered: Sequence[_Answered]) -> Truth | None:
        """Return gold in which judges have given way to the consumers; None if none has to."""
        before, truth = truth, self._arbitrated(truth, answered)
        groups = {
            name: group
            for number, name in enumerate(truth.gold)
            if truth.sources.get(name) in EVALUATIONS
            and name not in truth.random
            and name not in truth.reshaped
            and (group := self._dissent(truth, number, name, answered))
        }
        if alone := self._unconfirmed(truth, answered) - groups.keys():
            truth = replace(
                truth,
                sources={name: by for name, by in truth.sources.items() if name not in alone},
                unjudged={**truth.unjudged, **dict.fromkeys(alone, UNCONFIRMED)},
            )
        if not groups:
            return None if truth is before else truth
        changed = {name: group.value for name, group in groups.items()}
        return replace(
            truth,
            gold={**truth.gold, **changed},
            produced={**truth.produced, **{name: groups[name].farthest for name in groups}},
            sources={**truth.sources, **{name: describe(groups[name]) for name in groups}},
            evaluations={**{name: truth.gold[name] for name in groups}, **truth.evaluations},
            rounded=truth.rounded | groups.keys(),
            baseline_errors={
                name: error for name, error in truth.baseline_errors.items() if name not in groups
            },
            remarks=(
                *truth.remarks,
                *(
                    f"output {name}: the evaluator gives way to the libraries, which agree; "
                    f"{_describe_difference(truth, name, group)}"
                    for name, group in groups.items()
                ),
            ),
        )

    def _doubts(self, truth: Truth, answered: Sequence[_Answered]) -> Iterator[str]:
        """Yield what is new of a reference that no runtime confirms."""
        counts = {len(entry.outputs) for entry in answered}
        stated = [name for name in truth.gold if truth.sources.get(name) == truths.REFERENCE]
        if stated and len(counts) == 1 and len(stated) not in counts:
            doubts = [
                f"the reference has {len(stated)} outputs, every runtime answers {counts.pop()}: "
                "check --reference"
            ]
        else:
            doubts = [
                f"output {name}: every runtime differs from the reference, and they agree; "
                f"{_describe_difference(truth, name, group)}: check --reference"
                for number, name in enumerate(truth.gold)
                if name in stated and (group := self._dissent(truth, number, name, answered))
            ]
        yield from (doubt for doubt in map(cut, doubts) if doubt not in truth.remarks)

    def _arbitrated(self, truth: Truth, answered: Sequence[_Answered]) -> Truth:
        """Return gold with a decision where an evaluation and the baseline contradict each other.

        Both vote beside the consumers, the baseline as the library that it is. Where that decides
        nothing, nothing judges the output.
        """
        gold, produced = dict(truth.gold), dict(truth.produced)
        sources, unjudged = dict(truth.sources), dict(truth.unjudged)
        comparable = [entry for entry in answered if len(entry.outputs) == len(truth.gold)]
        voters = [entry for entry in comparable if self._is_independent(entry.cell)]
        contested = [
            name for name in truth.evaluations if sources.get(name) in (BASELINE, CONTESTED)
        ]
        for name in contested:
            baseline, evaluation = (
                judged_values(values[name], truth, name)
                for values in (truth.gold, truth.evaluations)
            )
            votes = [
                Vote(cell="baseline", library=BASELINE_LIBRARY, value=baseline),
                Vote(cell="evaluation", library="onnx", value=evaluation),
                *self._votes(truth, voters, list(truth.gold).index(name), name),
            ]
            group = self._largest_group(truth, name, votes)
            if group is not None and self._is_clear(truth, name, group, votes):
                gold[name], produced[name] = group.value, group.farthest
                sources[name] = describe(group)
                continue
            group = self._largest_group(truth, name, [votes[0], *votes[2:]])
            accuses_nobody = group is not None and len(group.votes) == len(votes) - 1
            if sources[name] == CONTESTED or not accuses_nobody:
                unjudged[name] = UNDECIDED
                del sources[name]
        if not contested:
            return truth
        return replace(truth, gold=gold, produced=produced, sources=sources, unjudged=unjudged)

    def _is_clear(self, truth: Truth, name: str, group: Group, votes: Sequence[Vote]) -> bool:
        """Return whether a group has several libraries, and more than any that differs from it."""
        cells = {vote.cell for vote in group.votes}
        others = [x for x in votes if x.cell not in cells and x.library not in group.libraries]
        rival = self._largest_group(truth, name, others)
        against = len(rival.libraries) if rival else 1
        return len(group.libraries) > max(against, 1)

    def _dissent(
        self, truth: Truth, number: int, name: str, answered: Sequence[_Answered]
    ) -> Group | None:
        """Return the consumers where all libraries agree, and none with the evaluation."""
        comparable = [entry for entry in answered if len(entry.outputs) == len(truth.gold)]
        voters = [entry for entry in comparable if self._is_independent(entry.cell)]
        if any(self._is_right(entry, name, entry.record.agreement) for entry in voters):
            return None
        votes = self._votes(truth, voters, number, name)
        group = self._largest_group(truth, name, votes)
        if group is None or len(group.libraries) < 2 or len(group.votes) < len(votes):
            return None
        gold = judged_values(truth.gold[name], truth, name)
        return None if distance(group.value, gold) == 0.0 else group  # nothing may be defined

    def _unconfirmed(self, truth: Truth, answered: Sequence[_Answered]) -> set[str]:
        """Return the outputs with an evaluation that is not proven, nor confirmed by a consumer."""
        voters = [entry for entry in answered if self._is_independent(entry.cell)]
        return {
            name
            for name, source in truth.sources.items()
            if source == UNPROVEN
            and voters
            and not any(self._is_right(entry, name, entry.record.agreement) for entry in voters)
        }

    def _is_independent(self, cell: Cell) -> bool:
        """Return whether a consumer is neither the judge nor in a reduced precision."""
        return not cell.inspects(self.model.format) and cell.precision == "float32"

    def _is_right(self, entry: _Answered, name: str, agreement: Agreement | None) -> bool:
        terms = terms_of(self.run.manifest, entry.cell, self.model.artifact.id).of(entry.record)
        return agreement is not None and any(
            output.name == name
            and output.error is not None
            and output.error <= terms.allowed_of(output, agreement)[0]
            for output in agreement.outputs
        )

    def _votes(
        self, truth: Truth, entries: Sequence[_Answered], number: int, name: str
    ) -> list[Vote]:
        return [
            Vote(
                cell=entry.cell.id,
                library=entry.cell.library,
                value=judged_values(entry.output(number, name), truth, name),
            )
            for entry in entries
        ]

    def _largest_group(self, truth: Truth, name: str, votes: Sequence[Vote]) -> Group | None:
        if not votes:
            return None
        value, grid = votes[0].value, truth.quantised.get(name)
        tolerance = self._tolerance(str(value.dtype), truth.computed_in.get(name, ""))
        if grid is None:
            return largest_group(votes, tolerance)
        steps = allowed_steps(grid, value, deviations.output_scale(value))
        return largest_group(votes, max(tolerance, steps.error), in_steps=True)

    def _tolerance(self, *precisions: str) -> float:
        tolerances = self.run.manifest.matrix.tolerances
        reduced = {str(name): error for name, error in tolerances.reduced.items()}
        return max(tolerances.rounded, *(reduced.get(name, 0.0) for name in precisions))


def _describe_difference(truth: Truth, name: str, group: Group) -> str:
    return describe_difference(judged_values(truth.gold[name], truth, name), group.value)


def describe(group: Group) -> str:
    """Return what a group proves, for the report."""
    return f"agreement of {len(group.votes)} answers: {', '.join(sorted(group.libraries))}"
