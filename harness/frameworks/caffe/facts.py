"""What Caffe's files say: how a layer is described, and which functions its library has."""

import re
from typing import Set, Tuple

import caffe  # noqa: F401 - for the libraries that it loads
from caffe.proto import caffe_pb2

from harness.measuring.facts import has_names_of_cpp, mapped_file, names_in

#: Parameters that a layer of any kind may have.
OF_ALL_KINDS = ("loss_param", "transform_param")

#: A method of a layer, as C++ writes its name for float: its class and the method.
METHOD = r"_ZN5caffe\d+(\w+Layer)IfE\d+%sERK"


def parameters_of_layers_have_numbers() -> Tuple[bool, str]:
    """The parameters of a kind of layer are a field of a layer's message, with a number."""
    layer = caffe_pb2.LayerParameter.DESCRIPTOR
    fields = [field for field in layer.fields if field.name.endswith("_param")]
    numbers = sorted(field.number for field in fields if field.name not in OF_ALL_KINDS)
    kind = layer.fields_by_name["type"]
    old = caffe_pb2.V1LayerParameter.DESCRIPTOR.enum_types_by_name["LayerType"]
    return bool(numbers), (
        "in caffe.proto the parameters of %d kinds of layers have numbers, up to %d; the type is a "
        "%s, in V1LayerParameter, of older files, one of %d numbers"
        % (
            len(numbers),
            max(numbers, default=0),
            "string" if kind.type == kind.TYPE_STRING else "number",
            len(old.values),
        )
    )


def is_of_cpp() -> Tuple[bool, str]:
    """Its library is of C++: it has names in a namespace of its own."""
    return has_names_of_cpp("libcaffe.so", "caffe")


def layers_have_functions_for_gpu() -> Tuple[bool, str]:
    """A layer for CPU and GPU has functions for each."""
    path = mapped_file("libcaffe.so")
    cpu, gpu, backward = (
        _classes(path, method) for method in ("Forward_cpu", "Forward_gpu", "Backward_gpu")
    )
    return bool(cpu & gpu & backward), (
        "of %d layers in %s with a Forward_cpu, %d have a Forward_gpu too, and %d a Backward_gpu"
        % (len(cpu), path.rpartition("/")[2], len(cpu & gpu), len(cpu & backward))
    )


def _classes(path: str, method: str) -> Set[bytes]:
    return names_in(path, re.compile((METHOD % method).encode()))
