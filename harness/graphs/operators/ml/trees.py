"""Ensembles of decision trees: sums of leaves in float64.

A tree compares a feature with a threshold in the precision that the model has: widened to float64,
a feature that was rounded to the threshold could take the other branch. So thresholds keep their
dtype, see `harness.graphs.precise`, and features are rounded to it.
"""

import numpy

from harness.graphs.operators.ml.classical import (
    MlOperator,
    given,
    labelled,
    text,
    transformed,
    two_scores,
)

_RULES = {
    b"BRANCH_LEQ": numpy.less_equal,
    b"BRANCH_LT": numpy.less,
    b"BRANCH_GTE": numpy.greater_equal,
    b"BRANCH_GT": numpy.greater,
    b"BRANCH_EQ": numpy.equal,
    b"BRANCH_NEQ": numpy.not_equal,
}
_MEMBER, _LEAF = b"BRANCH_MEMBER", b"LEAF"
_MODES = numpy.array([*_RULES, _MEMBER])


class TreeOperator(MlOperator):
    """An ensemble of trees, whose long lists are arrays: there may be millions of nodes."""

    def _extract_attribute_value(self, att, ref_att=None):
        if att.ints:
            return numpy.array(att.ints, "int64")
        if att.floats:
            return numpy.array(att.floats, "float32")
        if att.name == "nodes_modes" and att.strings:
            return numpy.array(list(att.strings))
        return MlOperator._extract_attribute_value(self, att, ref_att)


class Forest:
    """The inner nodes and leaves of all trees, each with a place of its own.

    Attributes:
        rules: of every node, in bytes, ``LEAF`` where it is one.
        thresholds: of every node, in the model's precision.
        features: the column that a node looks at.
        missing: whether NaN takes the true branch.
        branches: the places of the nodes that follow, (nodes, 2): false, true.
        members: the values that a node of the rule ``BRANCH_MEMBER`` looks for, by its place.
    """

    def __init__(self, rules, thresholds, features, missing, branches, members=None):
        self.rules, self.thresholds, self.features = rules, thresholds, features
        self.missing, self.branches, self.members = missing, branches, members or {}

    def leaf(self, x, root):
        """Return the place of the leaf that every row of x reaches from a root, (N,)."""
        x = x.astype(self.thresholds.dtype)
        places = numpy.full(len(x), root)
        active = numpy.arange(len(x))
        while active.size:
            active = active[self.rules[places[active]] != _LEAF]
            at = places[active]
            values = x[active, self.features[at]]
            takes_branch = self._holds(at, values) | (self.missing[at] & numpy.isnan(values))
            places[active] = self.branches[at, takes_branch.astype(int)]
        return places

    def _holds(self, places, values):
        """Return whether the rule of each place holds for its value."""
        rules = self.rules[places]
        holds = numpy.zeros(len(places), bool)
        for rule in set(rules):
            chosen = numpy.flatnonzero(rules == rule)
            if rule == _MEMBER:
                members = [self.members[place] for place in places[chosen]]
                holds[chosen] = [value in wanted for value, wanted in zip(values[chosen], members)]
            else:
                holds[chosen] = _RULES[rule](values[chosen], self.thresholds[places[chosen]])
        return holds


def _stated(settings, name):
    """Return an attribute of floats, or of doubles as a tensor, as an array; None without it."""
    for value in (settings.get(name + "_as_tensor"), settings.get(name)):
        if value is not None and len(value):
            return value
    return None


def _missing(settings, count):
    """Return for each node whether NaN takes its true branch."""
    stated = settings.get("nodes_missing_value_tracks_true")
    if stated is None or not len(stated):
        return numpy.zeros(count, bool)
    return stated.astype(bool)


class Places:
    """The places of nodes in the lists of an ensemble, by the numbers of tree and node."""

    def __init__(self, trees, nodes):
        self.width = int(max(nodes.max(), 0)) + 1
        keys = trees * self.width + nodes
        self.order = numpy.argsort(keys, kind="stable")
        self.keys = keys[self.order]

    def of(self, trees, nodes):
        """Return the place of each node, 0 for one that is not there: a leaf has no branches."""
        wanted = trees * self.width + nodes
        at = numpy.minimum(numpy.searchsorted(self.keys, wanted), len(self.keys) - 1)
        is_there = (self.keys[at] == wanted) & (nodes < self.width)
        return numpy.where(is_there, self.order[at], 0)


def _forest(settings):
    """Return (the trees, the place of the root of each, the places of nodes)."""
    trees, nodes, false, true = (
        settings["nodes_" + name] for name in ("treeids", "nodeids", "falsenodeids", "truenodeids")
    )
    places = Places(trees, nodes)
    branches = numpy.stack([places.of(trees, false), places.of(trees, true)], axis=1)
    forest = Forest(
        settings["nodes_modes"],
        _stated(settings, "nodes_values"),
        settings["nodes_featureids"],
        _missing(settings, len(nodes)),
        branches,
    )
    roots = numpy.sort(numpy.unique(trees, return_index=True)[1])
    return forest, roots, places


def _votes(x, settings, kind, width):
    """Return the votes of all trees (trees, N, width) for classes or targets; NaN is not a vote."""
    forest, roots, places = _forest(settings)
    weights = _stated(settings, kind + "_weights").astype("float64")
    trees, nodes, targets = (settings[kind + name] for name in ("_treeids", "_nodeids", "_ids"))
    at = (places.of(trees, nodes), targets)
    leaves = numpy.zeros((len(forest.rules), width))
    numpy.add.at(leaves, at, weights)
    votes = numpy.zeros(leaves.shape, bool)
    votes[at] = True
    leaves[~votes] = numpy.nan
    return numpy.stack([leaves[forest.leaf(x, root)] for root in roots])


def _aggregated(votes, function):
    """Return the sum, average, least or most of the trees' votes, (N, targets)."""
    if function in ("MIN", "MAX"):
        least = function == "MIN"
        filled = numpy.where(numpy.isnan(votes), numpy.inf if least else -numpy.inf, votes)
        extreme = filled.min(axis=0) if least else filled.max(axis=0)
        return numpy.where(numpy.isinf(extreme), 0, extreme)
    total = numpy.nansum(votes, axis=0)
    return total / len(votes) if function == "AVERAGE" else total


class TreeEnsembleRegressor(TreeOperator):
    """Aggregated votes, and base values."""

    def _run(self, x, aggregate_function="SUM", n_targets=1, post_transform=None, **settings):
        votes = _votes(numpy.atleast_2d(x), settings, "target", n_targets or 1)
        scores = _aggregated(votes, text(aggregate_function))
        base = _stated(settings, "base_values")
        scores = scores if base is None else scores + base.astype("float64")
        return (self.floats(transformed(scores, post_transform), x),)


class TreeEnsembleClassifier(TreeOperator):
    """The class with the most votes, and the votes of all."""

    def _run(self, x, class_ids=None, **settings):
        labels = [given(settings.get("classlabels_" + kind)) for kind in ("int64s", "strings")]
        classes = len(given(*labels))
        settings["class_ids"] = class_ids
        votes = _votes(numpy.atleast_2d(x), settings, "class", classes)
        scores = numpy.nansum(votes, axis=0)
        base = _stated(settings, "base_values")
        base = numpy.zeros(1) if base is None else base.astype("float64")
        if classes == 2 and (class_ids == class_ids[0]).all():
            return self._positive(scores, base, labels, settings, x)
        scores = scores + base
        places = scores.argmax(axis=1)
        scores = self.floats(transformed(scores, settings.get("post_transform")), x)
        return labelled(places, *labels), scores

    def _positive(self, scores, base, labels, settings, x):
        """Return the answer of an ensemble that votes for one of two classes only.

        The standard is silent here. Converters write the votes for the second class under the
        place of the first.
        """
        transform = settings.get("post_transform")
        is_probability = bool((_stated(settings, "class_weights") >= 0).all())
        place = settings["class_ids"][0]
        limit = 0.5 if is_probability else 0
        if place == 0:
            score = scores[:, :1] + base[-1]
            scores = two_scores(score, transform, is_probability)
        else:
            score = scores[:, 1:]
            scores = transformed(scores + base * [1, 0], transform)
        return labelled((score[:, 0] > limit).astype(int), *labels), self.floats(scores, x)


class TreeEnsemble(TreeOperator):
    """Aggregated leaves; nodes and leaves are numbered apart."""

    def _run(self, x, aggregate_function=1, post_transform=0, n_targets=1, **settings):
        splits = settings["nodes_splits"]
        count = len(splits)
        pairs = [
            numpy.where(settings["nodes_" + side + "leafs"], count, 0)
            + settings["nodes_" + side + "nodeids"]
            for side in ("false", "true")
        ]
        leaf_count = len(settings["leaf_targetids"])
        modes = _MODES[settings["nodes_modes"]]
        nothing = numpy.zeros(leaf_count, int)
        forest = Forest(
            numpy.concatenate([modes, numpy.full(leaf_count, _LEAF)]),
            numpy.concatenate([splits, nothing.astype(splits.dtype)]),
            numpy.concatenate([settings["nodes_featureids"], nothing]),
            numpy.concatenate([_missing(settings, count), nothing.astype(bool)]),
            numpy.concatenate(
                [numpy.stack(pairs, axis=1), numpy.stack([nothing, nothing], axis=1)]
            ),
            _members(modes, settings.get("membership_values")),
        )
        leaves = numpy.full((count + leaf_count, n_targets or 1), numpy.nan)
        places = numpy.arange(count, count + leaf_count)
        leaves[places, settings["leaf_targetids"]] = settings["leaf_weights"]
        x = numpy.atleast_2d(x)
        votes = numpy.stack([leaves[forest.leaf(x, root)] for root in settings["tree_roots"]])
        scores = _aggregated(votes, ("AVERAGE", "SUM", "MIN", "MAX")[aggregate_function or 0])
        names = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
        return (self.floats(transformed(scores, names[post_transform or 0]), x),)


def _members(modes, values):
    """Return the values of every node that looks for members: NaN ends those of a node."""
    members = {}
    remaining = [] if values is None else list(values)
    for place in numpy.flatnonzero(modes == _MEMBER):
        end = next(at for at, value in enumerate(remaining) if numpy.isnan(value))
        members[place], remaining = remaining[:end], remaining[end + 1 :]
    return members


OPERATORS = [TreeEnsemble, TreeEnsembleClassifier, TreeEnsembleRegressor]
