"""Control flow."""

from typing import Any, List

import numpy
from onnx.reference.ops import op_loop


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
        stacked = [numpy.stack(results) if results else numpy.empty((0,)) for results in collected]
        return tuple(carried + stacked)


OPERATORS = [Loop]
