"""Read an ONNX file that may be hostile, or no ONNX file at all."""

import functools
import operator
import os
from typing import Any, Dict, Iterator, List, Tuple

import numpy

from harness import formats
from harness.adapters import Arrays
from harness.formats import recognition
from harness.graphs import BadModel, operators
from harness.graphs.canonical import canonical

#: At most this many unknown operators are listed.
FEW = 5

#: A constant of more elements is a weight: nothing is decided by its values.
MOST_ELEMENTS = 64

#: A larger sparse tensor is not made dense.
LARGEST_SPARSE = 2**30


def read(path: str) -> Any:
    """Return the model in a file, its external data loaded.

    Raises BadModel where no runtime could do anything with it. What only breaks a rule, or is newer
    than this package, is for `complaints`: a runtime may know better.
    """
    import google.protobuf.message
    import onnx

    with open(path, "rb") as source:
        content = source.read()
    kind = recognition.identify("", content[: formats.HEAD_BYTES])
    if isinstance(kind, recognition.Unserved):
        raise BadModel(f"it is not an ONNX model but {kind.label}: {kind.advice}")
    if kind is not None:
        raise BadModel(f"it is not an ONNX model but a model of the format {kind.name}")
    try:
        model = onnx.ModelProto.FromString(content)
    except google.protobuf.message.DecodeError:
        raise BadModel("it is truncated, or not an ONNX model: export it again") from None
    if not model.graph.node or not model.graph.output:
        raise BadModel("the model has no nodes or no outputs: export it again")
    folder = os.path.dirname(os.path.abspath(path))
    for tensor in _tensors(model.graph, onnx):
        _check_tensor(tensor, folder, onnx)
    onnx.load_external_data_for_model(model, folder)
    _fill_sparse(model.graph, onnx)
    return canonical(model)


def _fill_sparse(graph: Any, onnx: Any) -> None:
    """Make sparse initializers dense, but the largest: the standard's evaluator reads none of them.

    Raises BadModel where a value has no place in its tensor.
    """
    sparse_tensors = list(graph.sparse_initializer)
    del graph.sparse_initializer[:]
    for sparse in sparse_tensors:
        values = onnx.numpy_helper.to_array(sparse.values)
        shape = list(sparse.dims)
        if functools.reduce(operator.mul, shape, values.itemsize) > LARGEST_SPARSE:
            graph.sparse_initializer.append(sparse)
            continue
        places = onnx.numpy_helper.to_array(sparse.indices)
        if places.ndim > 1:  # a coordinate in each row, else places in the flat tensor
            places = _flat(places, shape, sparse.values.name)
        dense = numpy.zeros(shape, values.dtype)
        try:
            dense.ravel()[places] = values
        except (IndexError, ValueError):
            raise _misplaced(sparse.values.name) from None
        graph.initializer.append(onnx.numpy_helper.from_array(dense, sparse.values.name))


def _flat(coordinates: Any, shape: List[int], name: str) -> Any:
    try:
        return numpy.ravel_multi_index(tuple(coordinates.T), shape)
    except ValueError:
        raise _misplaced(name) from None


def _misplaced(name: str) -> BadModel:
    return BadModel(f"the sparse tensor {name} has values outside its shape: export it again")


def complaints(model: Any) -> List[str]:
    """Return the violations that the ONNX checker and the package's definitions report."""
    import onnx

    problems = _version_complaints(model, onnx)
    unknown, has_unofficial = _unknown_operators(model, onnx)
    if unknown:
        suffix = " and more" if len(unknown) > FEW else ""
        listed = ", ".join(unknown[:FEW])
        problems.append(f"its opset does not define the operators {listed}{suffix}")
    problems += _newer_attributes(model, onnx)
    # With an unofficial operator the checker refuses what ONNX Runtime reads.
    if not problems and not has_unofficial:
        problems += _rule_complaints(model, onnx)
    return problems


def _rule_complaints(model: Any, onnx: Any) -> List[str]:
    # Outputs without a shape are against the rules, common, and read by every runtime.
    tensors = [value.type.tensor_type for value in model.graph.output]
    bare = [tensor for tensor in tensors if tensor.elem_type and not tensor.HasField("shape")]
    for tensor in bare:
        tensor.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        return ["it breaks ONNX's rules: " + str(error).strip().splitlines()[0]]
    except ValueError:  # more than a protobuf holds, once its external data is loaded
        return []
    finally:
        for tensor in bare:
            tensor.ClearField("shape")
    return []


def _version_complaints(model: Any, onnx: Any) -> List[str]:
    versions = []
    if model.ir_version > onnx.IR_VERSION:
        versions.append(f"IR version {model.ir_version}; newest known: {onnx.IR_VERSION}")
    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if opset.domain == "" and not 0 < opset.version <= newest:
            versions.append(f"opset {opset.version}; newest known: {newest}")
    return versions


def _unknown_operators(model: Any, onnx: Any) -> Tuple[List[str], bool]:
    """Return what the standard should define and does not; whether we define what it does not.

    Operators of other domains are the runtimes' to know. ONNX Runtime writes some of its own into
    the standard's domain.
    """
    versions = opsets(model)
    local_functions = {(function.domain, function.name) for function in model.functions}
    unknown: List[str] = []
    has_unofficial = False
    for node in all_nodes(model.graph):
        if (node.domain, node.op_type) in local_functions:
            continue
        try:
            onnx.defs.get_schema(node.op_type, versions.get(node.domain, 1), node.domain)
        except onnx.defs.SchemaError:
            if node.domain == "" and operators.definition("", node.op_type):
                has_unofficial = True
            elif node.domain == "" and node.op_type not in unknown:
                unknown.append(node.op_type)
    return unknown, has_unofficial


def _newer_attributes(model: Any, onnx: Any) -> List[str]:
    """Return which attributes the standard defines in a later opset only.

    A quantiser writes the axis of DequantizeLinear into a model of any opset.
    """
    opset = opsets(model).get("", 1)
    stated = {
        (node.op_type, attribute.name)
        for node in all_nodes(model.graph)
        if node.domain == ""
        for attribute in node.attribute
    }
    since = {pair: _defined_since(pair[0], pair[1], opset, onnx) for pair in sorted(stated)}
    return [
        f"its opset {opset} does not define the attribute {name} of {operator}, opset {first} "
        f"does: export it to opset {first}, or convert it before it is quantised"
        for (operator, name), first in since.items()
        if first > opset
    ]


def _defined_since(operator: str, attribute: str, opset: int, onnx: Any) -> int:
    """Return the first opset from *opset* on in which an operator has an attribute, or 0."""
    for version in range(opset, onnx.defs.onnx_opset_version() + 1):
        try:
            if attribute in onnx.defs.get_schema(operator, version, "").attributes:
                return version
        except onnx.defs.SchemaError:
            continue
    return 0


def _check_tensor(tensor: Any, folder: str, onnx: Any) -> None:
    """Raise BadModel unless a tensor has as many bytes as it claims, in the file or beside it."""
    if any(dim < 0 for dim in tensor.dims):
        raise BadModel(f"the tensor {tensor.name} has a negative dimension")
    if tensor.data_type == onnx.TensorProto.STRING:
        return
    try:
        size = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, TypeError):
        raise BadModel(f"the tensor {tensor.name} has no type that is known") from None
    count = 1
    for dim in tensor.dims:
        count *= dim
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        _check_external(tensor, folder, count * size)
    elif tensor.HasField("raw_data"):
        # Types of four bits have two values a byte.
        if not count * size // 2 <= len(tensor.raw_data) <= count * size:
            raise BadModel(
                f"the tensor {tensor.name} claims {count * size} bytes and has "
                f"{len(tensor.raw_data)}"
            )
    elif count > sum(len(getattr(tensor, f"{kind}_data")) for kind in _FIELDS) * 8:
        raise BadModel(f"the tensor {tensor.name} claims {count} values that are not there")


_FIELDS = ("float", "int32", "int64", "double", "uint64")


def _check_external(tensor: Any, folder: str, size: int) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    parts = location.replace("\\", "/").split("/")
    if not location or os.path.isabs(location) or ".." in parts:
        raise BadModel(f"its external data is outside its folder: '{location}'")
    path = os.path.join(folder, location)
    walked = folder
    for part in parts:
        walked = os.path.join(walked, part)
        if os.path.islink(walked):
            raise BadModel(f"its external data is behind a link: '{location}'")
    if not os.path.isfile(path):
        raise BadModel(f"its external data is not beside it, as a file: '{location}'")
    try:
        begin, length = int(entries.get("offset") or 0), int(entries.get("length") or size)
    except ValueError:
        raise BadModel(f"the place of {tensor.name} in its external data is not a number") from None
    if _is_lfs_pointer(path):
        raise BadModel(f"'{location}' is a pointer of Git LFS, not the weights: git lfs pull")
    if begin < 0 or length != size or begin + length > os.path.getsize(path):
        raise BadModel(f"the tensor {tensor.name} claims more than there is in '{location}'")


def _is_lfs_pointer(path: str) -> bool:
    with open(path, "rb") as source:
        return source.read(len(recognition.GIT_LFS)) == recognition.GIT_LFS


def opsets(model: Any) -> Dict[str, int]:
    """Return the version of the operators of each domain."""
    return {entry.domain: entry.version for entry in model.opset_import}


def all_nodes(graph: Any) -> Iterator[Any]:
    """Yield all nodes, inner graphs included."""
    for node in graph.node:
        yield node
        for inner_node in nodes_within(node):
            yield inner_node


def nodes_within(node: Any) -> Iterator[Any]:
    """Yield the nodes of a node's inner graphs."""
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            for inner_node in all_nodes(graph):
                yield inner_node


def handed_in(node: Any) -> Iterator[Tuple[str, str, str]]:
    """Yield the names of what a Loop or a Scan hands from round to round.

    They are those outside, inside, and of what a round makes of it: that is empty for what a Scan
    reads a part of.
    """
    for body in (item.g for item in node.attribute if node.op_type in ("Loop", "Scan")):
        ahead = len(node.input) - len(body.input)  # the lengths of sequences, of an early Scan
        first, made = (2, 1) if node.op_type == "Loop" else (max(ahead, 0), 0)
        scanned = next((item.i for item in node.attribute if item.name == "num_scan_inputs"), 0)
        inside = body.input[2:] if node.op_type == "Loop" else body.input
        results = [value.name for value in body.output[made : made + len(inside) - scanned]]
        results += [""] * scanned
        for name, value, result in zip(node.input[first:], inside, results):
            yield name, value.name, result


def constants(model: Any) -> Arrays:
    """Return the small tensors that a graph holds, in initializers and in Constants, by name."""
    import onnx

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in all_nodes(model.graph):
        if node.op_type == "Constant":
            tensors.update((node.output[0], x.t) for x in node.attribute if x.name == "value")
    return {
        name: onnx.numpy_helper.to_array(tensor)
        for name, tensor in tensors.items()
        if functools.reduce(operator.mul, tensor.dims, 1) <= MOST_ELEMENTS
    }


def _tensors(graph: Any, onnx: Any) -> Iterator[Any]:
    """Yield all tensors stored in a graph, inner graphs included."""
    for tensor in graph.initializer:
        yield tensor
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            for tensor in attribute.tensors:
                yield tensor
            for inner in [attribute.g, *attribute.graphs]:
                for tensor in _tensors(inner, onnx):
                    yield tensor
