"""The ``onnx`` package's reference evaluator, in numpy: the neutral reference, and slow.

Operators that it lacks or gets wrong are those of `harness.graphs.operators`. Where it has no
float64 answer, ONNX Runtime without optimisations gives a baseline: see `gold`.
"""

import functools
from typing import Any, Dict, List, Optional

import numpy

import harness.adapters as protocol
from harness.graphs import WrongInputs, checks, inner, operators, quantisation, values
from harness.graphs.canonical import inlined
from harness.graphs.inputs import declared, onnx_inputs, thresholds
from harness.graphs.inputs.contradictions import check_ranges, contradiction
from harness.graphs.inputs.legal_values import legal_values
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.inputs.steering import steering
from harness.graphs.operators import evaluator
from harness.graphs.precise import computed_in, widen
from harness.graphs.sums import growth
from harness.graphs.unrolling import unrolled
from harness.record import EVALUATIONS
from harness.runtimes.onnx import draws, gold, quantised
from harness.runtimes.onnx.baseline import Baseline
from harness.runtimes.onnx.undecided import limits, ordering, steps, undefined, unsearched

onnx: Any = None  # the package, once `start` has imported it
threads: Any = None


def start() -> None:
    """Import onnx and its evaluator."""
    global onnx
    import onnx as module
    import onnx.reference

    onnx = module


def configure(device: str, count: int) -> None:
    """Raise WrongDevice unless the device is the CPU; the environment sets numpy's threads."""
    global threads
    if device != "cpu":
        raise protocol.WrongDevice("the reference evaluator computes on the CPU only")
    threads = count


def describe() -> Dict[str, Any]:
    """Describe what is used; the matrix products are numpy's."""
    return {
        "versions": {"onnx": onnx.__version__},
        "threads": threads,
        "device": "cpu",
        "device_name": None,
        "blas": None,
    }


def multiply(a: protocol.Array, b: protocol.Array) -> protocol.Array:
    """Matrix product as a model of one node."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(a.dtype)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["a", "b"], ["product"])],
        "product",
        [value("a", kind, a.shape), value("b", kind, b.shape)],
        [value("product", kind, None)],
    )
    product = evaluator(onnx.helper.make_model(graph))
    return product.run(None, {"a": a, "b": b})[0]


def inspect(
    format_name: str, path: str, user_inputs: Optional[protocol.Arrays], sampling: Sampling
) -> Dict[str, Any]:
    """Inspect a model: check it, and answer the user's or sample inputs in float32 and float64."""
    if format_name != "onnx":
        raise protocol.Unsupported("the onnx package does not read " + format_name)
    model = checks.read(path)
    reference = Baseline(path, operators.output_names(model))
    ranks = {name: len(shape) for name, shape in sampling.shapes.items()}
    if user_inputs is not None:
        ranks = declared.ranks(user_inputs)
    entries = declared.declared_inputs(model, onnx, ranks)
    described: Dict[str, Any] = {
        "inputs": declared.described(entries),
        "opset": checks.opsets(model).get(""),
        "nodes": len(model.graph.node),
        "writer": f"{model.producer_name} {model.producer_version}".strip(),
        "computed_in": computed_in(model),
        "remarks": checks.complaints(model),
    }
    if user_inputs is None:
        sampled = _sampled(model, reference, entries, sampling, described)
    else:
        evaluate = functools.partial(gold.evaluate, model, reference)
        fed = quantisation.quantise(user_inputs, entries, quantised.grids(inlined(model)))
        sampled = onnx_inputs.evaluate_checked(fed, entries, evaluate)
        refused = sampled.result is None and contradiction(model, entries, sampled.inputs)
        if refused:
            raise WrongInputs(refused)
    described["random"] = draws.random_outputs(model, sampled.inputs)
    described["remarks"] += [remark for remark in [sampled.remark] if remark]
    if sampled.result is None:
        described["remarks"] += [*reference.remarks(), "no gold of our own: " + sampled.failure]
        described["unanswered"] = sampled.failure
        return {"described": described, "inputs": sampled.inputs, "outputs": {}}
    return _judged(model, reference, sampled.inputs, sampled.result, described)


def _sampled(model, reference, entries, sampling, described):
    """Make sample inputs; add what they hold, and why they are refused, if they are."""
    entries = onnx_inputs.fit(model, entries, sampling)
    check_ranges(model, entries, sampling)
    sampled = onnx_inputs.sample_and_evaluate(
        entries,
        sampling,
        functools.partial(gold.evaluate_samples, model, reference),
        functools.partial(legal_values, model),
        [(thresholds.ROWS, 64)] if thresholds.has_trees(model) else (),
    )
    sized = [dict(entry, shape=list(sampled.inputs[entry["name"]].shape)) for entry in entries]
    held = {name: legal.why for name, legal in legal_values(model, sized).items()}
    held.update(dict.fromkeys(sampling.ranges, "--range"))
    described["values"] = held
    described["steering"] = steering(model, sized)
    described["refusal"] = sampled.refusal
    return sampled


def _judged(model, reference, inputs, result, described):
    """Add gold, its sources, and the values that cannot be judged."""
    evaluated, reason = result
    outputs = evaluated
    graph = unrolled(model, inputs)
    described["quantised"] = in_steps = quantised.outputs_in_steps(graph.model, inputs)
    rounding = steps.steps(graph, inputs, in_steps)
    masks, open_remarks = _left_open(graph, inputs, outputs, rounding, described)
    sets = {name: numpy.ones(outputs[name].shape, "uint8") for name in described["unordered"]}
    ignored = limits.join(masks, sets)
    judged = gold.judge(model, reference, inputs, outputs, ignored, in_steps, rounding)
    truth, sources = judged.gold, judged.sources
    random = described["random"]  # another draw is no rounding
    outputs = {
        name: x if sources[name] in EVALUATIONS or name in random else truth[name]
        for name, x in outputs.items()
    }
    grown = {name: growth(terms) for name, terms in judged.terms.items()}
    described.update(judged_by=sources, confirmed=judged.confirmed, growth=grown)
    described["rounded"] = [name for name in truth if sources[name] not in EVALUATIONS]
    repeated = {name: x for name, x in outputs.items() if name not in random}
    limit_masks, limit_remarks = limits.masks(graph, inputs, repeated, truth)
    described["apart"] = steps.integers_apart(graph.model, repeated, truth, rounding, masks)
    remarks = judged.remarks + open_remarks + limit_remarks + quantised.remarks(graph.model)
    remarks += filter(None, [thresholds.leaf_remark(model, inputs, evaluated)])
    described["remarks"] += reference.remarks() + remarks
    described["unanswered"] = reason
    if reason:
        described["remarks"].append("no float32 evaluation: " + reason)
    rounded = [
        name for name in truth if sources[name] in EVALUATIONS and name not in {*in_steps, *random}
    ]
    outputs, errors = gold.least_exact(reference, inputs, outputs, judged, ignored, rounded)
    outputs = rounding.farthest(outputs, truth, ignored, rounded)
    described["baseline_errors"] = errors
    text = "output {}: ONNX Runtime's own error, {:.1e}, is beyond what rounding costs; "
    text += "it widens the tolerance unless another library does better"
    described["remarks"] += [text.format(name, error) for name, error in errors.items()]
    return {
        "described": described,
        "inputs": inputs,
        "outputs": draws.with_other_shapes(model, inputs, outputs, truth, random),
        "answers": {} if reason else evaluated,
        "gold": truth,
        "evaluation": judged.evaluations,
        "undefined": limits.join(limit_masks, masks),
    }


def _left_open(graph, inputs, outputs, rounding, described):
    """Return (masks of values that are no runtime's fault, remarks); add what else is open.

    *rounding*: the model's `steps.Steps`.
    """
    open_values = undefined.masks(graph, inputs, outputs)
    orders = ordering.without_order(graph, inputs)
    why = dict.fromkeys(open_values.reshaped + orders.reshaped, "its shape is undefined")
    why.update(dict.fromkeys(rounding.reshaped, "rounding decides its shape"))
    drawn = described["random"]  # their shapes are drawn, too
    described["reshaped"] = {name: x for name, x in why.items() if name not in drawn}
    described.update(unordered=orders.axes, in_order_of=orders.in_order_of)
    described["unjudged"], unsearched_remarks = unsearched.unsearched(graph)
    masks = limits.join(open_values.masks, orders.masks, rounding.masks)
    remarks = [*open_values.remarks, *orders.remarks, *rounding.remarks, *unsearched_remarks]
    return masks, remarks


def trace(path: str, inputs: protocol.Arrays) -> Dict[str, Any]:
    """Evaluate every node in float64 and in float32."""
    model = checks.read(path)
    precise, single = inner.evaluate(model, _fed(model, inputs))
    return {
        "nodes": inner.nodes(model),
        "outputs": [value.name for value in model.graph.output],
        "precise": precise,
        "single": {name: values.as_array(x) for name, x in single.items()},
    }


def expose(path: str, tensors: List[Dict[str, Any]], target: str) -> None:
    """Write the model with inner tensors as additional outputs."""
    model = checks.read(path)
    inner.expose(model, tensors)
    onnx.save(model, target)


def cut(path: str, inputs: protocol.Arrays, number: int, target: str) -> Dict[str, Any]:
    """Write one node as a model; return its inputs and its float64 outputs."""
    model = checks.read(path)
    feed = _fed(model, inputs)
    _, single = inner.evaluate(model, feed)
    single_node, node_inputs = inner.cut(model, single, feed, number)
    onnx.save(single_node, target)
    truth = operators.evaluate(widen(single_node), onnx_inputs.as_float64(node_inputs))
    return {"inputs": node_inputs, "gold": truth}


def _fed(model, inputs):
    entries = declared.declared_inputs(model, onnx, declared.ranks(inputs))
    return protocol.match_names(inputs, [entry["name"] for entry in entries])


def load(format_name: str, path: str) -> Any:
    """Read a model; return its evaluator."""
    if format_name != "onnx":
        raise protocol.Unsupported("the onnx package does not read " + format_name)
    return evaluator(path)


def answer(model: Any, inputs: protocol.Arrays) -> protocol.Arrays:
    """Evaluate the graph, arrays in and out."""
    # Early exporters list a model's own weights among its inputs.
    names = [name for name in model.input_names if name not in model.rt_inits_]
    feed = protocol.match_names(values.assemble(inputs, names), names)
    answers = model.run(None, operators.typed(model.proto_, feed))
    return values.flatten(zip(model.output_names, answers))
