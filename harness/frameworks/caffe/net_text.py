"""Caffe's own description of a net while it is written: text, blob shapes, parameters.

All shapes are without N, the batch. Caffe has no axis of time but in its LSTM and no product of
two blobs as matrices; sequences are sliced into steps.
"""


class Text:
    """A net while it is written: its layers, and the shape of every blob without N."""

    def __init__(self, network):
        self.lines = ['name: "%s"' % network["name"]]
        self.shapes = {"input": tuple(network["input"])}
        self.parameters = {}  # neutral name -> (layer, index, function to the neutral layout)
        self.read = set()
        self.cache = {}
        self.count = 0

    def add(self, kind, name, bottoms, shape, settings="", tops=None):
        """Add a layer whose tops, by default its own name, have the shape; return the first top."""
        tops = [name] if tops is None else tops
        self.read.update(bottoms)
        words = ['name: "%s" type: "%s"' % (name, kind)]
        words += ['bottom: "%s"' % bottom for bottom in bottoms]
        words += ['top: "%s"' % top for top in tops]
        self.lines.append("layer { %s %s }" % (" ".join(words), settings))
        for top in tops:
            self.shapes[top] = shape
        return tops[0] if tops else None

    def fresh(self, name):
        """Return a name for a layer that is not in the neutral description."""
        self.count += 1
        return "%s/%d" % (name, self.count)

    def inner(self, kind, name, bottoms, shape, settings="", tops=None):
        """Add a layer inside the neutral layer *name*."""
        return self.add(kind, self.fresh(name), bottoms, shape, settings, tops)

    def record_parameter(self, neutral, layer, index, turn=None):
        """Remember the place of a neutral parameter."""
        self.parameters[neutral] = (layer, index, turn)

    def slices(self, x, axis, points):
        """Return the pieces of a blob between *points*, along an axis, N being 0."""
        key = ("slice", x, axis, tuple(points))
        if key not in self.cache:
            shape = self.shapes[x]
            edges = [0, *points, shape[axis - 1]]
            name = self.fresh("slice")
            tops = ["%s-%d" % (name, number) for number in range(len(points) + 1)]
            point_text = " ".join("slice_point: %d" % point for point in points)
            if len(tops) == 1:
                return [x]
            self.add(
                "Slice", name, [x], None, "slice_param { axis: %d %s }" % (axis, point_text), tops
            )
            for top, low, high in zip(tops, edges, edges[1:]):
                self.shapes[top] = shape[: axis - 1] + (high - low,) + shape[axis:]
            self.cache[key] = tops
        return self.cache[key]

    def reshape(self, x, dims, shape, name=None):
        """Reshape to *dims*, N among them; 0 copies a dimension and -1 is the remaining size."""
        name = name or self.fresh("reshape")
        dim_text = " ".join("dim: %d" % dim for dim in dims)
        return self.add("Reshape", name, [x], shape, "reshape_param { shape { %s } }" % dim_text)

    def rename(self, x, name):
        """Give a blob another name."""
        shape = self.shapes[x]
        return self.reshape(x, (0,) * (1 + len(shape)), shape, name)

    def steps(self, x):
        """Return a sequence, (N, T, D), as its steps, each (N, D)."""
        key = ("steps", x)
        if key not in self.cache:
            length, width = self.shapes[x]
            pieces = self.slices(x, 1, range(1, length))
            self.cache[key] = [self.reshape(piece, (-1, width), (width,)) for piece in pieces]
        return self.cache[key]

    def sequence(self, steps, name):
        """Join steps, each (N, D), to a sequence (N, T, D) of this name."""
        width = self.shapes[steps[0]][0]
        pieces = [self.reshape(step, (-1, 1, width), (1, width)) for step in steps]
        return self.concat(pieces, 1, (len(steps), width), name)

    def concat(self, pieces, axis, shape, name):
        """Join pieces along an axis."""
        return self.add("Concat", name, pieces, shape, "concat_param { axis: %d }" % axis)

    def combine(self, operation, inputs, name, coefficients=()):
        """Add or multiply blobs of one shape, element by element."""
        coefficient_text = " ".join("coeff: %r" % coefficient for coefficient in coefficients)
        settings = "eltwise_param { operation: %s %s }" % (operation, coefficient_text)
        return self.add("Eltwise", name, inputs, self.shapes[inputs[0]], settings)

    def power(self, x, name, scale=1.0, shift=0.0, power=1.0):
        """(shift + scale x) to a power."""
        settings = "power_param { scale: %r shift: %r power: %r }" % (scale, shift, power)
        return self.inner("Power", name, [x], self.shapes[x], settings)

    def reduce(self, operation, x, axis, name, coefficient=1.0):
        """Reduce a blob from an axis to its last."""
        settings = "reduction_param { operation: %s axis: %d coeff: %r }" % (
            operation,
            axis,
            coefficient,
        )
        return self.inner("Reduction", name, [x], self.shapes[x][: axis - 1], settings)

    def product(self, x, units, name, shared="", bias=True, axis=1, top=None):
        """Multiply the last axis, *axis*, by a kernel (units, D); add a bias."""
        words = "inner_product_param { num_output: %d axis: %d bias_term: %s }" % (
            units,
            axis,
            "true" if bias else "false",
        )
        if shared:
            words += ' param { name: "%s.kernel" }' % shared
            words += ' param { name: "%s.bias" }' % shared if bias else ""
        shape = self.shapes[x][:-1] + (units,)
        return self.add("InnerProduct", top or self.fresh(name), [x], shape, words)
