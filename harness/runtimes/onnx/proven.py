"""Which definitions of operators the standard's own tests have proven: those of ``proven.json``."""

import json
import os

from harness import graphs
from harness.graphs import checks, operators
from harness.graphs.canonical import inlined
from harness.graphs.operators.fingerprints import fingerprint


def unproven_operators(model):
    """Return the names of a model's operators whose definition here is not proven, in order.

    A definition that has changed since its tests were run is not.
    """
    table, model = states(), inlined(model)
    opsets = checks.opsets(model)
    unproven = set()
    constants = checks.constants(model)
    for node in checks.all_nodes(model.graph):
        version = opsets.get(node.domain, opsets.get("", 1))
        is_trusted = operators.is_trusted(node, constants)
        if not is_trusted or not _is_node_proven(table, node, version):
            unproven.add(node.op_type)
    return sorted(unproven)


def states():
    """Return ``proven.json``: states of operators by version, and fingerprints of definitions."""
    with open(os.path.join(os.path.dirname(graphs.__file__), "proven.json")) as source:
        return json.load(source)


def _is_node_proven(table, node, version):
    import onnx

    try:
        since = onnx.defs.get_schema(node.op_type, version, node.domain).since_version
    except onnx.defs.SchemaError:
        return False
    definition = operators.definition(node.domain, node.op_type)
    module = definition.__module__ if definition else ""
    if definition and table["fingerprints"].get(module) != fingerprint(module):
        return False
    return is_proven(table["operators"].get(node.domain, {}).get(node.op_type, {}), since)


def is_proven(versions, version):
    """Return whether an operator is proven at a version, by a row of ``proven.json``.

    Many versions only admit more types and have no test of their own: there the nearest tested
    versions before and after count. What was before the first tested one may have been another
    operator, as Add was, which broadcast along an axis.
    """
    states = {int(number): state for number, (state, _) in versions.items() if state != "unknown"}
    before = max((number for number in states if number <= version), default=None)
    after = min((number for number in states if number >= version), default=None)
    nearest = [states[number] for number in (before, after) if number is not None]
    return before is not None and all(state in ("proven", "replaced") for state in nearest)
