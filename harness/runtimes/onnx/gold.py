"""What an ONNX model should answer: by our float64 evaluation, else by a baseline.

The evaluation is the better judge where it is right. It may not know an operator, or define one
wrongly: `harness/graphs/proven.json` says which definitions the standard's own tests have proven,
but these do not try everything. Where an evaluation and the baseline differ, the baseline counts
until the consumers have answered: then the host lets both vote. Where that decides nothing, the
baseline stays only if a definition is not proven.
"""

from typing import Any, Dict, List, NamedTuple

import numpy

from harness.graphs import operators, values
from harness.graphs.canonical import inlined
from harness.graphs.inputs import onnx_inputs
from harness.graphs.precise import widen
from harness.graphs.sums import growth, largest_error, longest_sums
from harness.record import (
    BASELINE,
    CONTESTED,
    FLOAT64,
    OWN_PRECISION,
    UNPROVEN,
    allowed_distance,
)
from harness.runtimes.onnx import baseline
from harness.runtimes.onnx.draws import random_outputs
from harness.runtimes.onnx.proven import unproven_operators
from harness.runtimes.onnx.size_mismatches import size_mismatches

#: Two evaluations that differ by more than this, over the scale of errors, are not of the same
#: function, unless rounding costs that much.
ROUNDING = 1e-6

#: Another order of the same arithmetic may cost so many times what the evaluation's own order does.
OWN_ERRORS = 16

#: Two evaluations in float64 that differ by no more, over the scale of errors, are the same.
SAME_IN_FLOAT64 = 1e-9


class Judged(NamedTuple):
    """What judges the outputs of a model, by name.

    *remarks* say why an evaluation does not count; *evaluations* are those that the baseline
    contradicts. *confirmed*: outputs whose evaluation it confirms. *inexact*: outputs of which the
    baseline is farther from gold than any order of a sum explains, though ONNX Runtime's float64
    kernels give what the evaluation does. *terms*: by output of an evaluation, those of the longest
    sum that it comes from.
    """

    gold: Dict[str, Any]
    sources: Dict[str, str]
    remarks: List[str] = []
    evaluations: Dict[str, Any] = {}
    confirmed: List[str] = []
    inexact: List[str] = []
    terms: Dict[str, int] = {}


def evaluate(model, reference, inputs):
    """Return the model's outputs in its own precision, and why the evaluator gave none, if so.

    *reference* is the model's `baseline.Baseline`.

    Raises NotEvaluated, with the evaluator's reason, where the baseline fails as well.
    """
    try:
        return _as_declared(model, operators.evaluate(model, inputs)), ""
    except operators.NotEvaluated as error:
        try:
            return reference.answer(inputs), str(error)
        except baseline.NoBaseline:
            raise error


def evaluate_samples(model, reference, inputs):
    """Return the same for sample inputs.

    Raises Refused where ONNX Runtime does not take them: it is stricter than numpy.
    """
    result, failure = None, None
    try:
        result = _as_declared(model, operators.evaluate(model, inputs)), ""
    except operators.NotEvaluated as error:
        failure = error
    try:
        answers = reference.answer(inputs)
    except baseline.Refusal as error:
        text = str(error)
        raise onnx_inputs.Refused(text, size_mismatches(text), result, str(failure or ""))
    except baseline.NoBaseline:
        if failure is not None:
            raise failure
        return result
    return result or (answers, str(failure))


def _as_declared(model, outputs):
    """Return an evaluation's outputs, by name.

    Raises NotEvaluated where one is of another kind than the graph declares it, or narrower.
    """
    import onnx

    for value in model.graph.output:
        kind = value.type.tensor_type.elem_type
        if not kind or value.name not in outputs:
            continue
        nothing = numpy.empty(0, onnx.helper.tensor_dtype_to_np_dtype(kind))
        own, declared = outputs[value.name].dtype, values.as_array(nothing).dtype
        if own.kind != declared.kind or own.itemsize < declared.itemsize:
            raise operators.NotEvaluated(
                "output '{}' is {}, and its graph declares {}".format(value.name, own, declared)
            )
    return outputs


def judge(model, reference, inputs, outputs, undefined, in_steps, rounding):
    """Return `Judged`: gold by name of output, and what each is judged by.

    Args:
        model: the model.
        reference: its `baseline.Baseline`.
        inputs: arrays by name.
        outputs: by name, from `evaluate`.
        undefined: by name, a mask of the values that say nothing, where there are any.
        in_steps: what of them is quantised, from `quantised.outputs_in_steps`.
        rounding: what it decides of them, `undecided.steps.Steps`.
    """
    names = list(outputs)
    try:
        evaluated = operators.evaluate(widen(model), onnx_inputs.as_float64(inputs))
        precise = _as_declared(model, evaluated)
    except operators.NotEvaluated as error:
        return _without_float64(reference, inputs, outputs, str(error))
    if list(precise) != names:
        why = "its sequences and maps have other parts than in float32"
        return _without_float64(reference, inputs, outputs, why)
    terms = _terms(model, inputs, names)
    unproven = unproven_operators(model)
    try:
        second = reference.answer(inputs)
    except baseline.NoBaseline:
        sources = dict.fromkeys(names, UNPROVEN if unproven else FLOAT64)
        return Judged(precise, sources, terms=terms)
    gold, sources, remarks = dict(precise), dict.fromkeys(names, FLOAT64), []
    reason = _why_contested(unproven)
    exempt, evaluations = {*random_outputs(model, inputs), *rounding.reshaped}, {}
    three = (precise, rounding.farthest(outputs, precise, undefined, names), second)
    contradicted = _contradicted_outputs(*three, undefined, in_steps, terms)
    confirmed = _confirmed(model, inputs, contradicted, precise, second) if contradicted else []
    for name in contradicted:
        if name in exempt or name in confirmed:
            continue
        gold[name] = second[name]
        sources[name] = BASELINE if unproven else CONTESTED
        evaluations[name] = precise[name]
        remarks.append(
            "output {}: the evaluator differs from the baseline; {}".format(name, reason)
        )
    inexact = _inexact(confirmed, precise, second, terms)
    confirmed = [name for name in second if name in gold.keys() - {*exempt, *evaluations}]
    return Judged(gold, sources, remarks, evaluations, confirmed, inexact, terms)


def _without_float64(reference, inputs, outputs, why):
    """Return what judges where there is no evaluation in float64: ONNX Runtime, if it answers."""
    remarks = ["no float64 evaluation: {}".format(why)]
    try:
        answers = reference.answer(inputs)
    except baseline.NoBaseline:
        answers = {}
    if list(answers) != list(outputs):
        return Judged(outputs, dict.fromkeys(outputs, OWN_PRECISION), remarks)
    return Judged(answers, dict.fromkeys(outputs, BASELINE), remarks)


def _why_contested(unproven):
    """Return what is known of an evaluation that a baseline contradicts."""
    if not unproven:
        return "both define every operator as the standard's tests want"
    return "its definition of {} is not proven".format(", ".join(unproven[:5]))


def _inexact(names, precise, second, terms):
    """Return the outputs of which the baseline errs more than sums of so many *terms* explain."""
    return [
        name
        for name in names
        if error_of(second[name], precise[name]) > largest_error(terms[name], second[name].dtype)
    ]


def _terms(model, inputs, names):
    """Return by output the terms of the longest sum that it, or its whole, comes from."""
    longest = longest_sums(inlined(model), inputs)
    wholes = {value.name: longest.get(value.name, 1) for value in model.graph.output}
    return {name: wholes.get(name, max(wholes.values(), default=1)) for name in names}


def _confirmed(model, inputs, names, precise, second):
    """Return which outputs ONNX Runtime gives as the evaluation does, once it computes in float64.

    Then the definitions are the same, and what they differ by in the model's own precision is what
    ONNX Runtime's kernels of that precision cost. Not all of its kernels know float64.
    """
    widened, wide_inputs = widen(model), onnx_inputs.as_float64(inputs)
    try:
        wide = baseline.answer_model(widened, operators.output_names(model), wide_inputs)
    except baseline.NoBaseline:
        return []
    return [
        name
        for name in names
        if name in wide
        and error_of(second[name], precise[name]) >= 0
        and 0 <= error_of(wide[name], precise[name]) <= SAME_IN_FLOAT64
    ]


def least_exact(reference, inputs, outputs, judged, undefined, names):
    """Return outputs in the model's own precision, of two evaluations the one farther from gold.

    The tolerance scales with the error of these. One evaluation alone may be exact by luck where
    another order of the same arithmetic is not: so ONNX Runtime's without optimisations counts as
    well. Where its error is beyond what another order costs, it is ONNX Runtime's own, and no other
    library's tolerance: then it is returned instead.

    Args:
        reference: the model's `baseline.Baseline`.
        inputs: arrays by name.
        outputs: by name, in the model's own precision.
        judged: what judges them.
        undefined: by name, a mask of the values that do not count.
        names: of the outputs that only rounding takes from gold: an evaluation that is not
            contested judges them, and none is quantised or random.

    Returns:
        (outputs by name, the baseline's error of those where it is inexact, by name).
    """
    try:
        second = reference.answer(inputs)
    except baseline.NoBaseline:
        return outputs, {}
    exact, errors = dict(outputs), {}
    for name in names:
        three = (judged.gold[name], outputs[name], second.get(name, outputs[name]))
        truth, own, other = (defined(array, undefined.get(name)) for array in three)
        error = error_of(other, truth)
        if not 0 <= error_of(own, truth) < error:
            continue
        if name in judged.inexact:
            errors[name] = min(error, float(numpy.finfo("float64").max))
        else:
            exact[name] = three[2]
    return exact, errors


def error_of(value, gold):
    """Return the error of floats over gold's scale; -1 where they cannot be compared.

    They can where each is infinite or NaN as gold is in its dtype. The error is that of the others.
    """
    value, gold = numpy.asarray(value), numpy.asarray(gold)
    if value.shape != gold.shape or {value.dtype.kind, gold.dtype.kind} != {"f"}:
        return -1.0
    with numpy.errstate(over="ignore"):
        rounded = gold.astype(value.dtype)
    finite = numpy.isfinite(rounded)
    if _is_otherwise_infinite(rounded, value) or not numpy.isfinite(value[finite]).all():
        return -1.0
    apart = numpy.abs(value[finite] - gold[finite]).max(initial=0.0)
    return float(apart) / values.scale_of(gold[finite])


def defined(value, mask):
    """Return the values that are not masked."""
    value = numpy.asarray(value)
    return value if mask is None or mask.shape != value.shape else value[mask == 0]


def _contradicted_outputs(precise, outputs, second, undefined, in_steps, terms):
    """Return the names of the outputs whose evaluation the baseline *second* contradicts.

    *terms*: of the longest sum that an output comes from, by name.
    """
    names = []
    for name, value in outputs.items():
        answer = second.get(name, precise[name])
        own = value if value is not answer else precise[name]  # none in float32
        three = (precise[name], own, answer)
        compared = [defined(array, undefined.get(name)) for array in three]
        share = share_of_steps(in_steps.get(name), compared[0], answer.dtype)
        if _is_contradicted(share, growth(terms[name]), *compared):
            names.append(name)
    return names


def share_of_steps(grid, precise, dtype):
    """Return how far right answers of a quantised output may be apart, over the scale of gold."""
    if grid is None or dtype.kind not in "fiu":
        return 0.0
    scale, unit = values.scale_of(precise), float(dtype.kind != "f")
    rounding = 0.0 if unit else float(numpy.finfo(dtype).eps)
    return allowed_distance(grid["steps"], grid["step"], scale, unit, rounding) / scale


def _is_contradicted(steps, grown, precise, own, second):
    """Return whether the baseline *second* contradicts the float64 evaluation *precise*.

    *steps*: what quantisation allows besides rounding, else zero. *grown*: see `sums.growth`.
    *own*: the evaluation in the model's own precision, which overflows where the model does.
    """
    if len({(x.shape, x.dtype.kind) for x in (precise, own, second)}) > 1:
        return True
    if second.dtype.kind != "f" and not steps:  # what rounding decides, no definition does
        return bool(((precise != second) & (precise == own)).any())
    if _is_otherwise_infinite(precise, second) or _is_elsewhere_finite(own, second):
        return True
    return differs(precise, second, max(_rounding_allowed(own, precise, grown), steps))


def _rounding_allowed(own, precise, grown):
    """Return how far rounding alone may take another order of the same arithmetic from gold.

    Arrays are masked alike. An exact value may be rounded once by another order. *grown*: see
    `growth`.
    """
    once = numpy.finfo(own.dtype).eps if own.dtype.kind == "f" else 0.0
    return max(grown * ROUNDING, once, OWN_ERRORS * error_of(own, precise))


def _is_otherwise_infinite(precise, second):
    """Return whether an answer is not infinite, or NaN, as the evaluation is.

    Where only the evaluation is finite, the model's own precision may have overflowed.
    """
    special = ~numpy.isfinite(precise)
    return not numpy.array_equal(precise[special], second[special], equal_nan=True)


def _is_elsewhere_finite(own, second):
    """Return whether two answers are finite in other places.

    Of numbers of 16 bits it says nothing: ONNX Runtime computes many operators of theirs wider.
    """
    if not own.dtype == second.dtype in (numpy.float32, numpy.float64):
        return False
    return bool((numpy.isfinite(own) != numpy.isfinite(second)).any())


def differs(precise, second, allowed=ROUNDING):
    """Return whether two arrays of numbers of one shape are not those of the same function.

    Where only one is finite, float32 may have overflowed: that says nothing of the definition.
    """
    precise, second = precise.astype("float64"), second.astype("float64")
    finite = numpy.isfinite(precise) & numpy.isfinite(second)
    apart = numpy.abs(precise[finite] - second[finite]).max(initial=0.0)
    return bool(apart > allowed * values.scale_of(precise[finite]))
