"""Settling: what judges the outputs of users' own models, once all consumers have answered.

Where neither a reference nor an evaluation judges an output, the agreement of the consumers does.
If all libraries agree with one another against the evaluation, they win, and the difference is a
finding about the evaluator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from deepmatrix.boundary.bounds import cut
from deepmatrix.judging import deviations
from deepmatrix.judging.consensus import Group, Vote, describe_difference, largest_group
from deepmatrix.judging.masked import judged_values
from deepmatrix.judging.quantisation.quantised_steps import allowed_steps
from deepmatrix.judging.terms import Terms, terms_of
from deepmatrix.models import imports
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Job, first_consumption
from deepmatrix.planning.subjects import Import
from deepmatrix.store import answers, arrays, truths
from deepmatrix.store.arrays import Values
from deepmatrix.store.records import Agreement, JobRecord
from deepmatrix.store.runs import Run
from deepmatrix.store.truths import Truth
from harness.record import BASELINE, CONTESTED, EVALUATIONS, OWN_PRECISION, UNPROVEN

#: The library that computes the baseline.
BASELINE_LIBRARY = "onnxruntime"

#: The library that evaluates, and whose definitions the others replace.
EVALUATOR_LIBRARY = "onnx"

NO_JUDGE = "no gold: no evaluation, and no two libraries agree; give a --reference"

UNDECIDED = (
    "the evaluation and ONNX Runtime contradict each other: give other --inputs, more libraries, "
    "or a --reference"
)

UNCONFIRMED = (
    "no library confirms the evaluation, which is not proven: give more libraries, or a --reference"
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
            settled = self._voted(truth, answered) or settled
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
        first = comparable[0].outputs
        like = replace(truth, gold=first, produced=first, rounded=frozenset(first))
        gold, sources, unjudged = {}, {}, {}
        for name in first:
            votes = self._votes(like, voters or comparable, name)
            group = self._largest_group(like, name, votes)
            if group is None or len(group.libraries) < 2:  # a library does not prove itself
                gold[name], unjudged[name] = votes[0].value, NO_JUDGE
            else:
                gold[name], sources[name] = group.value, describe(group)
        return replace(
            like, gold=gold, produced=gold, sources=sources, unjudged=unjudged, agreed=True
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

    def _voted(self, truth: Truth, answered: Sequence[_Answered]) -> Truth | None:
        """Return gold as judges and consumers decide by vote; None where that changes nothing.

        Whatever judges an output gives way, but for a reference. Where they decide nothing, nothing
        judges an output of which the baseline contradicts the evaluation, nor one whose evaluation
        is not proven, or not in float64, which no consumer confirms.
        """
        contested = _contested(truth)
        doubted = {
            name
            for name, source in truth.sources.items()
            if source in (*EVALUATIONS, OWN_PRECISION, BASELINE)
            and not self._is_confirmed(truth, name, answered)
        }
        groups = {
            name: group
            for name in truth.gold
            if name in contested or name in doubted - truth.random
            if name not in truth.reshaped
            if (group := self._decision(truth, name, answered))
        }
        unjudged = self._undecided(truth, (contested | doubted) - groups.keys(), answered)
        if not groups and not unjudged:
            return None
        values = {name: group.value for name, group in groups.items()}
        sources = {**truth.sources, **{name: describe(group) for name, group in groups.items()}}
        errors = truth.baseline_errors
        return replace(
            truth,
            gold={**truth.gold, **values},
            produced={**truth.produced, **_produced(truth, values)},
            sources={name: source for name, source in sources.items() if name not in unjudged},
            unjudged={**truth.unjudged, **unjudged},
            evaluations={**{name: truth.gold[name] for name in groups}, **truth.evaluations},
            rounded=truth.rounded | groups.keys(),
            baseline_errors={name: errors[name] for name in errors if name not in groups},
            remarks=(
                *truth.remarks,
                *(
                    f"output {name}: the {_judge_words(truth, name)} gives way to the libraries, "
                    "which agree; "
                    f"{_describe_difference(truth, name, group)}"
                    for name, group in groups.items()
                    if name not in contested
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
                for name in truth.gold
                if name in stated
                and not self._is_confirmed(truth, name, answered)
                and (group := self._decision(truth, name, answered))
            ]
        yield from (doubt for doubt in map(cut, doubts) if doubt not in truth.remarks)

    def _undecided(
        self, truth: Truth, names: Set[str], answered: Sequence[_Answered]
    ) -> dict[str, str]:
        """Return why nothing judges outputs on which a vote decided nothing, by name.

        An evaluation that is proven still does, and a baseline that accuses nobody.
        """
        voted = any(self._is_independent(entry.cell) for entry in answered)
        reasons = {
            CONTESTED: UNDECIDED,
            BASELINE: UNDECIDED,
            UNPROVEN: UNCONFIRMED if voted else "",
            OWN_PRECISION: UNCONFIRMED if voted else "",
        }
        return {
            name: reason
            for name in names
            if (reason := reasons.get(truth.sources[name], ""))
            and not self._stays(truth, name, answered)
        }

    def _decision(self, truth: Truth, name: str, answered: Sequence[_Answered]) -> Group | None:
        """Return the answers that decide against the judge of an output, or between two; or None.

        The judges vote beside the consumers, each as the library that it is. Votes that agree
        decide where they are two libraries' or more, and all others are those of one library.
        """
        votes = [*_judges(truth, name), *self._votes(truth, self._voters(truth, answered), name)]
        group = self._largest_group(truth, name, votes)
        if group is None or len(group.libraries) < 2:
            return None
        against = {vote.library for vote in votes if vote.cell not in group.cells}
        stands = votes[0].cell in group.cells and name not in _contested(truth)
        return None if len(against) > 1 or stands else group

    def _stays(self, truth: Truth, name: str, answered: Sequence[_Answered]) -> bool:
        """Return whether a baseline judges without a decision.

        It does where no evaluation contradicts it; else where a definition of the evaluation is not
        proven, and the baseline accuses nobody.
        """
        if truth.sources[name] != BASELINE or name not in _contested(truth):
            return truth.sources[name] == BASELINE
        baseline, *_ = _judges(truth, name)
        votes = [baseline, *self._votes(truth, self._voters(truth, answered), name)]
        group = self._largest_group(truth, name, votes)
        return group is not None and len(group.votes) == len(votes)

    def _voters(self, truth: Truth, answered: Sequence[_Answered]) -> list[_Answered]:
        """Return the independent consumers whose outputs are those of gold."""
        comparable = [entry for entry in answered if len(entry.outputs) == len(truth.gold)]
        return [entry for entry in comparable if self._is_independent(entry.cell)]

    def _is_confirmed(self, truth: Truth, name: str, answered: Sequence[_Answered]) -> bool:
        """Return whether an independent consumer gives what judges an output.

        None of the baseline's own library confirms that.
        """
        voters = [entry for entry in answered if self._is_independent(entry.cell)]
        if truth.sources.get(name) == BASELINE:
            voters = [entry for entry in voters if entry.cell.library != BASELINE_LIBRARY]
        return any(self._is_right(entry, name, entry.record.agreement) for entry in voters)

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

    def _votes(self, truth: Truth, entries: Sequence[_Answered], name: str) -> list[Vote]:
        number = list(truth.gold).index(name)
        return [
            Vote(
                cell=entry.cell.id,
                library=entry.cell.library,
                value=judged_values(entry.output(number, name), truth, name),
            )
            for entry in entries
        ]

    def _largest_group(self, truth: Truth, name: str, votes: Sequence[Vote]) -> Group | None:
        tolerance = self._tolerance(truth, name, votes[-1].value)
        return largest_group(votes, tolerance, in_steps=name in truth.quantised)

    def _tolerance(self, truth: Truth, name: str, value: Values) -> float:
        """Return the tolerance of an output on a consumer in float32, for answers like *value*."""
        grid, agreement = truth.quantised.get(name), deviations.compare(truth.produced, truth)
        own = [output.producer_error for output in agreement.outputs if output.name == name]
        types = (str(truth.produced[name].dtype), truth.computed_in.get(name, ""))
        scale = deviations.output_scale(value)
        steps = allowed_steps(grid, value, scale, *types) if grid else None
        terms = Terms(tolerances=self.run.manifest.matrix.tolerances, imported=True)
        return terms.allowed(
            next(iter(own), None),
            name,
            types[0],
            steps,
            rounded=name in truth.rounded,
            computed_in=types[1],
            growth=truth.growth.get(name, 1.0),
        )[0]


def _contested(truth: Truth) -> set[str]:
    """Return the outputs of which the evaluation and the baseline contradict each other."""
    return {name for name in truth.evaluations if truth.sources.get(name) in (BASELINE, CONTESTED)}


def _judges(truth: Truth, name: str) -> list[Vote]:
    """Return the votes of what judges an output, that of its gold first.

    A baseline that confirms an evaluation votes for it, and alone where there is none.
    """
    gold = judged_values(truth.gold[name], truth, name)
    evaluation = Vote(cell="evaluation", library=EVALUATOR_LIBRARY, value=gold)
    baseline = Vote(cell="baseline", library=BASELINE_LIBRARY, value=gold)
    if name not in _contested(truth):
        if truth.sources.get(name) == BASELINE:
            return [baseline]
        return [evaluation, *([baseline] if name in truth.confirmed else [])]
    contrary = judged_values(truth.evaluations[name], truth, name)
    return [baseline, replace(evaluation, value=contrary)]


def _produced(truth: Truth, values: Mapping[str, Values]) -> dict[str, Values]:
    """Return other gold with the rounding errors, and in the type, of what was produced."""
    return {
        name: truths.with_errors_of(truth.produced[name], truth.gold[name], value)
        for name, value in values.items()
    }


def _judge_words(truth: Truth, name: str) -> str:
    return "baseline" if truth.sources[name] == BASELINE else "evaluator"


def _describe_difference(truth: Truth, name: str, group: Group) -> str:
    return describe_difference(judged_values(truth.gold[name], truth, name), group.value)


def describe(group: Group) -> str:
    """Return what a group proves, for the report."""
    return f"agreement of {len(group.votes)} answers: {', '.join(sorted(group.libraries))}"
