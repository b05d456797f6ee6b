"""Control flow and casts."""

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
        return tuple(carried + self._empty(values))

    def _empty(self, outside):
        """Return what is stacked of no iteration: of the type and shape that the body declares.

        A dimension that only an iteration tells is 0, as in ONNX Runtime: what is carried may
        change its shape. *outside*: what the body may read from outside, by name.
        """
        (body,) = (item.g for item in self.onnx_node.attribute if item.name == "body")
        graph = onnx.GraphProto()
        graph.CopyFrom(body)
        read = {value.name for value in graph.input}
        for name, array in outside.items():
            if name not in read and getattr(array, "dtype", numpy.dtype("O")).kind in "fiub":
                kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
                graph.input.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
        declared = [value.type.tensor_type for value in graph.output[1 + self.N :]]
        imports = [onnx.helper.make_opsetid(*item) for item in self.run_params["opsets"].items()]
        model = onnx.helper.make_model(graph, opset_imports=imports)
        try:
            outputs = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output
            inferred = [value.type.tensor_type for value in outputs[1 + self.N :]]
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


OPERATORS = [Cast, Loop]
