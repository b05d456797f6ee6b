"""Control flow and casts."""

import itertools
from typing import Any, List

import numpy
import onnx
from onnx.reference.ops import op_loop
from onnx.reference.ops.op_cast import cast_to

from harness.graphs.operators.base import Operator


class Loop(op_loop.Loop):
    """What an iteration gives is stacked along a new first axis.

    The evaluator joins it along an axis that is there already, unless it is a scalar.
    """

    def _run(self, M, cond, *initial, context=None, body=None, attributes=None, bindings=None):
        number_name, condition_name, *carried_names = self.body.input_names
        values = dict(context or {})
        carried = list(initial[: self.N])
        collected: List[List[Any]] = [[] for _ in range(self.K)]
        iteration = 0
        running = True if cond is None else bool(numpy.asarray(cond).all())
        while running and (M is None or iteration < int(numpy.asarray(M).ravel()[0])):
            values[number_name] = numpy.array(iteration, "int64")
            values[condition_name] = numpy.array(running)
            values.update(zip(carried_names, carried))
            outputs = self._run_body(values, attributes=attributes, bindings=bindings)
            running = bool(numpy.asarray(outputs[0]).all())
            carried = list(outputs[1 : 1 + self.N])
            for results, result in zip(collected, outputs[1 + self.N :]):
                results.append(result)
            iteration += 1
        if iteration:
            return tuple(carried + [numpy.stack(results) for results in collected])
        return tuple(carried + _of_no_round(self, 1 + self.N, values))


class Scan(Operator):
    """Of every version: along any axis, in either direction; that of version 8 over a batch.

    It reads the lengths of the sequences before what its body does, or leaves them out.
    """

    def need_context(self):
        """Return that the body may read from outside."""
        return True

    def _run(self, *inputs, context=None, attributes=None, bindings=None, **settings):
        self._outside = dict(context or {})
        self._linked = {"attributes": attributes, "bindings": bindings}
        is_batched = len(inputs) > len(self.body.input_names)
        lengths, inputs = (inputs[0], inputs[1:]) if is_batched else (None, inputs)
        self._carried = len(inputs) - settings["num_scan_inputs"]
        states, scanned = inputs[: self._carried], inputs[self._carried :]
        if is_batched:
            return self._batched(lengths, states, scanned, settings.get("directions") or ())
        directions, axes = (settings.get("scan_input_" + x) or () for x in ("directions", "axes"))
        parts = [
            _reversed(numpy.moveaxis(x, axis, 0), is_backward)
            for x, is_backward, axis in _each(scanned, directions, axes)
        ]
        states, collected = self._rounds(states, parts)
        directions, axes = (settings.get("scan_output_" + x) or () for x in ("directions", "axes"))
        stacked = [
            numpy.moveaxis(_reversed(x, is_backward), 0, axis)
            for x, is_backward, axis in _each(collected, directions, axes)
        ]
        return (*states, *stacked)

    def _batched(self, lengths, states, scanned, directions):
        """Scan each sequence of a batch, along axis 1; after its end a sequence gives zeros."""
        rows, longest = scanned[0].shape[:2]
        lengths = numpy.full(rows, longest) if lengths is None else lengths
        results = []
        for row, length in enumerate(lengths):
            parts = [_reversed(x[row][:length], way) for x, way, _ in _each(scanned, directions)]
            first = [numpy.asarray(state[row]) for state in states]
            last, collected = self._rounds(first, parts)
            padding = [[(0, longest - length)] + [(0, 0)] * (x.ndim - 1) for x in collected]
            results.append([*last, *map(numpy.pad, collected, padding)])
        return tuple(map(numpy.stack, zip(*results)))

    def _rounds(self, states, scanned):
        """Return the last states, and by output what all rounds give; *scanned*: rounds first."""
        values, states, rounds = dict(self._outside), list(states), []
        for number in range(len(scanned[0])):
            read = [*states, *(numpy.asarray(x[number]) for x in scanned)]
            values.update(zip(self.body.input_names, read))
            outputs = list(self._run_body(values, **self._linked))
            states = outputs[: self._carried]
            rounds.append(outputs[self._carried :])
        if rounds:
            return states, list(map(numpy.stack, zip(*rounds)))
        return states, _of_no_round(self, self._carried, values)


def _reversed(array, is_backward):
    return array[::-1] if is_backward else array


def _each(arrays, directions, axes=()):
    """Yield arrays with direction and axis of each, which are 0 where none is stated."""
    return itertools.zip_longest(arrays, directions, axes, fillvalue=0)


def _of_no_round(node, first, outside):
    """Return what is stacked of no round: of the type and shape that the body declares.

    A dimension that only a round tells is 0, as in ONNX Runtime: what is carried may change its
    shape.

    Args:
        node: a Loop or a Scan.
        first: the number of the first output of its body that is stacked.
        outside: what the body may read from outside, by name.
    """
    (body,) = (item.g for item in node.onnx_node.attribute if item.name == "body")
    graph = onnx.GraphProto()
    graph.CopyFrom(body)
    read = {value.name for value in graph.input}
    for name, array in outside.items():
        if name not in read and getattr(array, "dtype", numpy.dtype("O")).kind in "fiub":
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.input.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
    declared = [value.type.tensor_type for value in graph.output[first:]]
    imports = [onnx.helper.make_opsetid(*item) for item in node.run_params["opsets"].items()]
    model = onnx.helper.make_model(graph, opset_imports=imports)
    try:
        outputs = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output
        inferred = [value.type.tensor_type for value in outputs[first:]]
    except Exception:  # a body that contradicts itself makes it raise anything
        inferred = declared
    return [_without_rows(*pair) for pair in zip(declared, inferred)]


def _without_rows(declared, inferred):
    """Return an empty array: the inferred shape counts, where there is one, then the declared."""
    known = inferred if inferred.HasField("shape") else declared
    kind = known.elem_type or declared.elem_type or onnx.TensorProto.FLOAT
    dims = [dim.dim_value for dim in known.shape.dim]
    return numpy.empty([0] + dims, onnx.helper.tensor_dtype_to_np_dtype(kind))


class Cast(Operator):
    """Of every version."""

    @classmethod
    def is_trusted(cls, node, constants):
        """Return whether a node makes no text: a float64 has more digits than a float32."""
        kinds = [item.i for item in node.attribute if item.name == "to"]
        return kinds != [onnx.TensorProto.STRING]

    def _run(self, x, to=None, saturate=1, round_mode="up"):
        return (cast_to(x, to, saturate, round_mode),)


OPERATORS = [Cast, Loop, Scan]
