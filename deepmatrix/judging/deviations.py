"""Errors: how far outputs are from gold, the numbers behind a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from deepmatrix.boundary.bounds import one_line
from deepmatrix.judging import masked
from deepmatrix.judging.quantisation.quantised_steps import allowed_steps, as_gold_is, one_sided
from deepmatrix.judging.similarity import accuracy, cosine, flip_margin, slices, top1, ulps
from deepmatrix.store import answers, arrays, truths
from deepmatrix.store.arrays import TEXT, Values
from deepmatrix.store.records import Agreement, Deviation
from deepmatrix.store.truths import Truth
from harness.record import ROUNDING, SMALLEST_SCALE, UNDEFINED_VALUE

#: At most this many letters of a text that differs are shown.
SHOWN = 40

Answers = Mapping[str, Values]
"""Outputs by name, in the model's order."""

Shape = tuple[int, ...]

#: What arithmetic with values that nobody expected raises; pydantic's errors are ValueErrors.
UNCOMPUTABLE = (ArithmeticError, ValueError, TypeError)


def measure(
    artifact: Path,
    control: Path,
    names: Sequence[str],
    store_outputs: Callable[[Answers], None] = lambda _: None,
) -> Agreement | None:
    """Compare a consumer's outputs below *control* with gold and with the producer's.

    *store_outputs* gets them first. None where nothing judges the artifact yet. Raises RecordError
    when its own files are damaged.
    """
    truth = truths.read(artifact)
    try:
        outputs = answers.read_control(control, names, truth.largest_answers)
    except arrays.Unreadable as error:
        return no_agreement(f"its outputs cannot be used: {error}")
    store_outputs(outputs)
    return compare(outputs, truth) if truth.gold else None


def compare(outputs: Answers, truth: Truth) -> Agreement:
    """Compare a consumer's outputs, and the producer's own, with gold.

    Outputs are matched by name where the names are the same, else by their order. The
    worst output counts. Of those that are random by design only shape and statistics count.
    Quantised outputs are compared by steps, and with gold in floats by what their integers stand
    for. Whatever a consumer answers, there is an agreement: the other jobs go on.
    """
    try:
        return _agreement(outputs, truth)
    except UNCOMPUTABLE as error:
        reason = one_line(f"{type(error).__name__}: {error}")
        return no_agreement(f"its outputs cannot be compared with gold: {reason}")


@np.errstate(all="ignore")  # floats near the ends of their range overflow
def _agreement(outputs: Answers, truth: Truth) -> Agreement:
    if not truth.gold:
        return no_agreement("it has no outputs")
    if len(outputs) != len(truth.gold):
        return no_agreement(f"it gave {len(outputs)} outputs, {len(truth.gold)} are expected")
    first = next(iter(outputs.values()))
    if set(outputs) != set(truth.gold):
        outputs = dict(zip(truth.gold, outputs.values(), strict=True))
    outputs, truth = masked.in_order(outputs, truth), masked.in_its_order(truth)
    deviations, between, scales = [], [], []
    for name, gold in truth.gold.items():
        answer = as_gold_is(outputs[name], gold, truth.quantised.get(name))
        pair = _compared(name, answer, truth)
        scale = output_scale(pair[1])
        deviations.append(_output_deviation(name, *pair, truth, scale))
        between.append(_from_producer(name, answer, truth, scale))
        scales.append(scale)
    deviations = _without_uncompared(deviations, truth)
    counted = [output for output in deviations if not output.unjudged]
    return Agreement(
        error=worst_output_error([output.error for output in counted]) if counted else None,
        producer_error=worst_output_error([output.producer_error for output in counted]),
        from_producer=worst_output_error(between),
        scale=max(scales),
        note="; ".join(output.note for output in deviations if output.note),
        accuracy=None if truth.labels is None else accuracy(first, truth.labels),
        outputs=tuple(deviations),
    )


def _output_deviation(
    name: str, answer: Values, right: Values, truth: Truth, scale: float
) -> Deviation:
    """Return how far an answer for an output is from its gold, and how far the producer's is.

    The answer and what is *right* are as `masked.compared` returns them. *scale*: of the latter.
    """
    gold, produced = truth.gold[name], truth.produced[name]
    if reason := truth.unjudged.get(name):
        note = f"{name}: {reason}"
        return Deviation(name=name, error=None, note=note, dtype=str(produced.dtype), unjudged=True)
    if name in truth.reshaped:
        return _of_open_shape(name, answer, truth)
    is_random, grid = name in truth.random, truth.quantised.get(name)
    statistics = partial(_statistics, other=produced)
    measure_output = statistics if is_random else _in_steps if grid else deviation
    measured = _type_mismatch(name, answer, produced)
    measured = measured or measure_output(name, answer, right, scale)
    own_pair = _compared(name, produced, truth)
    own = measure_output(name, *own_pair, scale).error
    types = (str(produced.dtype), truth.computed_in.get(name, ""))
    if own is not None:
        own = max(own, truth.baseline_errors.get(name, 0.0))
    return measured.model_copy(
        update={
            "producer_error": 0.0 if is_random else own,
            "dtype": types[0],
            "caution": RANDOM if is_random else masked.caution(gold, truth.masks.get(name)),
            "random": is_random,
            "judged_by": truth.sources.get(name, ""),
            "rounded": name in truth.rounded,
            "computed_in": types[1],
            "growth": truth.growth.get(name, 1.0),
            "slices": None if is_random else slices(answer, right, scale, own_pair),
            "steps": allowed_steps(grid, gold, scale, *types) if grid else None,
        }
    )


def _compared(name: str, answer: Values, truth: Truth) -> tuple[Values, Values]:
    """Return an answer for an output, and its gold, as they are compared."""
    mask, axis = truth.masks.get(name), truth.unordered.get(name)
    return masked.compared(
        answer, truth.gold[name], mask, axis, truth.apart.get(name, float("inf"))
    )


def _of_open_shape(name: str, answer: Values, truth: Truth) -> Deviation:
    """Compare the rank and the kind of an output whose shape may be another."""
    gold = truth.gold[name]
    error: float | None = 0.0 if answer.ndim == gold.ndim else None
    note = f"{name} has the rank {answer.ndim}, not {gold.ndim}" if error is None else ""
    measured = _type_mismatch(name, answer, truth.produced[name])
    measured = measured or Deviation(name=name, error=error, note=note)
    return measured.model_copy(
        update={
            "producer_error": 0.0,
            "dtype": str(truth.produced[name].dtype),
            "caution": f"{truth.reshaped[name]}: only rank and type are compared",
            "judged_by": truth.sources.get(name, ""),
        }
    )


def _without_uncompared(outputs: list[Deviation], truth: Truth) -> list[Deviation]:
    """Return the outputs as unjudged where no value of any of them is compared.

    They have none, the standard leaves them undefined, or rounding decides them. Where a value of
    another output is compared, that one says something of the consumer.
    """
    uncompared = {name for name, gold in truth.gold.items() if not gold.size}
    uncompared |= truth.reshaped.keys()
    uncompared |= {
        name
        for name, mask in truth.masks.items()
        if mask.size and bool(np.isin(mask, (UNDEFINED_VALUE, ROUNDING)).all())
    }
    if any(output.error != 0.0 or output.name not in uncompared for output in outputs):
        return outputs
    return [
        Deviation(
            name=output.name,
            error=None,
            note=f"{output.name}: no gold: {output.caution}",
            dtype=output.dtype,
            unjudged=True,
        )
        for output in outputs
    ]


def _from_producer(name: str, answer: Values, truth: Truth, scale: float) -> float | None:
    """Return how far an answer is from the producer's own."""
    if name in truth.random or name in truth.reshaped:
        return 0.0
    measure_output = _in_steps if name in truth.quantised else deviation
    judged, own = (
        masked.judged_values(values, truth, name) for values in (answer, truth.produced[name])
    )
    return measure_output(name, judged, own, scale).error


def _in_steps(name: str, answer: Values, gold: Values, scale: float) -> Deviation:
    """Return the deviation of an output whose integers are steps, not classes.

    Where all are rounded to one side they are wrong, however near.
    """
    biased = one_sided(answer, gold)
    measured = deviation(name, answer, gold, scale, in_steps=not biased)
    return measured.model_copy(update={"note": f"{name}: {biased}"}) if biased else measured


RANDOM = "random by design: compared by shape, mean and spread only"

#: Means of two random samples may differ by this many standard errors.
STANDARD_ERRORS = 8

#: And by this part of the largest value, where all values are the same.
ROUNDING_OF_MEANS = 1e-6


def _statistics(
    name: str, answer: Values, gold: Values, scale: float, *, other: Values
) -> Deviation:
    """Compare an output that is random by design: shape, mean and spread.

    With few values hardly anything can be said, and hardly anything is refused. Where gold and
    the *other* draw differ in shape, only rank and the dimensions of both are compared.
    """
    del scale
    if not _is_shape_drawn(answer.shape, gold.shape, other.shape):
        note = f"{name} has the shape {answer.shape}, not {gold.shape}"
        return Deviation(name=name, error=None, note=note)
    if other.shape != gold.shape:
        return Deviation(name=name, error=0.0)
    if TEXT in (gold.dtype.kind, answer.dtype.kind):
        return _type_mismatch(name, answer, gold) or Deviation(name=name, error=0.0)
    if not gold.size:
        return Deviation(name=name, error=0.0)
    if not np.isfinite(answer).all():
        return Deviation(name=name, error=None, note=f"{name} is not finite everywhere")
    if not np.isfinite(gold).all():
        return Deviation(name=name, error=None, note=f"{name} is not finite everywhere in gold")
    drawn, expected = _within_one(answer.astype(np.float64), gold.astype(np.float64))
    if _means_differ(drawn, expected):
        return Deviation(name=name, error=None, note=f"the mean of {name} differs")
    center = (drawn.mean() + expected.mean()) / 2
    if _means_differ((drawn - center) ** 2, (expected - center) ** 2):
        return Deviation(name=name, error=None, note=f"the standard deviation of {name} differs")
    return Deviation(name=name, error=0.0)


def _is_shape_drawn(shape: Shape, *draws: Shape) -> bool:
    """Return whether draws of these shapes make another one of *shape* a right one."""
    if len(shape) not in map(len, draws):
        return False
    if len(set(map(len, draws))) > 1:
        return True
    return all(
        size in sizes or len(set(sizes)) > 1 for size, *sizes in zip(shape, *draws, strict=True)
    )


def _means_differ(first: Values, second: Values) -> bool:
    """Return whether the means of two samples of one size differ by more than chance.

    The spread is that of both together: few values that are all the same have none of their own.
    """
    pooled = np.concatenate([first.ravel(), second.ravel()])
    chance = STANDARD_ERRORS * float(pooled.std()) / np.sqrt(first.size)
    rounding = ROUNDING_OF_MEANS * float(np.abs(pooled).max())
    return bool(abs(float(first.mean() - second.mean())) > chance + rounding)


def _within_one(*samples: Values) -> list[Values]:
    """Return samples, float64, divided by their largest value if it is above 1.

    The squares and the sums of all finite floats are then finite.
    """
    largest = max(float(np.abs(sample).max(initial=1.0)) for sample in samples)
    return [sample / largest for sample in samples]


def _type_mismatch(name: str, answer: Values, produced: Values) -> Deviation | None:
    """Return the deviation of an output of another kind (floats, integers, text), or None."""
    if answer.dtype.kind == produced.dtype.kind:
        return None
    kinds = ["text" if x.dtype.kind == TEXT else str(x.dtype) for x in (answer, produced)]
    note = f"{name} is {kinds[0]}, not {kinds[1]}"
    return Deviation(name=name, error=None, note=note)


def no_agreement(note: str) -> Agreement:
    """Return the agreement of outputs that cannot be compared."""
    return Agreement(error=None, producer_error=None, from_producer=None, scale=0.0, note=note)


def worst_output_error(errors: list[float | None]) -> float | None:
    """Return the largest error, or None where one of them is None."""
    numbers = [error for error in errors if error is not None]
    return max(numbers, default=0.0) if len(numbers) == len(errors) else None


def output_scale(gold: Values) -> float:
    """Return the scale of errors: gold's largest absolute finite value, at least SMALLEST_SCALE."""
    if gold.dtype.kind == TEXT:
        return SMALLEST_SCALE
    finite = np.abs(gold[np.isfinite(gold)].astype(np.float64))  # the least integer has no opposite
    return max(float(finite.max(initial=0.0)), SMALLEST_SCALE)


def distance(answer: Values, gold: Values, scale: float) -> float | None:
    """Return the largest absolute difference over *scale*; None where they cannot be compared."""
    return deviation("", answer, gold, scale).error


@np.errstate(all="ignore")
def deviation(
    name: str, answer: Values, gold: Values, scale: float, *, in_steps: bool = False
) -> Deviation:
    """Return all the numbers of one output, (N, ...), against gold of the same shape.

    Finite gold needs a finite answer; infinities and NaN of gold must be the same in the answer.
    Integers, booleans and texts are right or wrong: where any differs the error is at least 1,
    unless the integers are steps of something. A difference beyond the largest float is infinite;
    no number is NaN.
    """
    if answer.shape != gold.shape:
        note = f"{name} has the shape {answer.shape}, not {gold.shape}"
        return Deviation(name=name, error=None, note=note)
    if TEXT in (gold.dtype.kind, answer.dtype.kind):
        return _texts(name, answer, gold)
    if gold.dtype.kind != "f":
        return _whole_numbers(name, answer, gold, scale, in_steps=in_steps)
    finite = np.isfinite(gold)
    differs = np.isfinite(answer) != finite
    wrong = int(differs.sum())
    if wrong:
        mismatch = (
            "are not finite" if finite.all() else "are finite where gold is not, or the reverse"
        )
        note = f"{wrong} of {answer.size} values of {name} {mismatch}"
        return Deviation(name=name, error=None, row=_row(differs), note=note)
    if not np.array_equal(answer[~finite].astype(np.float64), gold[~finite], equal_nan=True):
        return Deviation(
            name=name,
            error=None,
            note=f"{name} has inf, -inf or NaN where gold has another of them",
        )
    wanted = gold[finite].astype(np.float64)
    difference = np.abs(answer[finite].astype(np.float64) - wanted)
    nonzero = wanted != 0
    return Deviation(
        name=name,
        error=float(difference.max(initial=0.0) / scale),
        max_abs=float(difference.max(initial=0.0)),
        max_rel=float((difference[nonzero] / np.abs(wanted[nonzero])).max(initial=0.0)),
        ulp=ulps(answer[finite], gold[finite].astype(answer.dtype)),
        top1=top1(name, answer, gold),
        flip_margin=flip_margin(name, answer, gold, scale),
        cosine=cosine(answer, gold),
        row=_row(
            np.abs(np.where(finite, answer, 0).astype(np.float64) - np.where(finite, gold, 0))
        ),
    )


def _whole_numbers(
    name: str, answer: Values, gold: Values, scale: float, *, in_steps: bool
) -> Deviation:
    differs = answer != gold
    if not differs.any():
        return Deviation(name=name, error=0.0, max_abs=0.0, max_rel=0.0)
    apart = np.abs(answer.astype(np.float64) - gold.astype(np.float64))
    largest = float(np.where(np.isnan(apart), np.inf, apart).max())
    error = largest / scale if in_steps else max(largest / scale, 1.0)
    return Deviation(name=name, error=error, max_abs=largest, row=_row(differs))


def _texts(name: str, answer: Values, gold: Values) -> Deviation:
    if mismatch := _type_mismatch(name, answer, gold):
        return mismatch
    differs = np.atleast_1d(answer != gold)
    if not differs.any():
        return Deviation(name=name, error=0.0)
    first = np.unravel_index(int(differs.argmax()), differs.shape)
    wrong, wanted = (str(np.atleast_1d(x)[first])[:SHOWN] for x in (answer, gold))
    place = ", ".join(map(str, first))
    note = f"{int(differs.sum())} of {differs.size} texts of {name} differ, the first at "
    note += f"[{place}]: {wrong!r}, not {wanted!r}"
    return Deviation(name=name, error=1.0, row=_row(differs), note=note)


def _row(values: Values) -> int | None:
    """Return the first row with the largest value, None where there are no rows."""
    if not values.ndim or not values.size:
        return None
    return int(values.argmax()) // (values.size // len(values))
