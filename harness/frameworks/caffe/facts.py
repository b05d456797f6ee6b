"""What Caffe's files say: how a layer is registered, and which functions layers have."""

import re
from typing import Set, Tuple

import caffe  # noqa: F401 - for the libraries that it loads
from caffe.proto import caffe_pb2

from harness.measuring.facts import names_in
from harness.measuring.machine import mapped_files

#: A method of a layer, as C++ writes its name for float: its class and the method.
METHOD = r"_ZN5caffe\d+(\w+Layer)IfE\d+%sERK"


def type_of_layer_is_a_number() -> Tuple[bool, str]:
    """The message of a layer has its type as a number, which a new layer has to be given."""
    kind = caffe_pb2.LayerParameter.DESCRIPTOR.fields_by_name["type"]
    old = caffe_pb2.V1LayerParameter.DESCRIPTOR.enum_types_by_name["LayerType"]
    return kind.type != kind.TYPE_STRING, (
        "the type in caffe.proto's LayerParameter is a %s; in V1LayerParameter, of older files, it "
        "is one of %d numbers" % (_name_of_type(kind), len(old.values))
    )


def _name_of_type(field) -> str:
    return "string" if field.type == field.TYPE_STRING else "number"


def layers_have_functions_for_gpu() -> Tuple[bool, str]:
    """A layer for CPU and GPU has functions for each."""
    path = next((path for path in mapped_files() if "libcaffe.so" in path), None)
    if path is None:
        raise FileNotFoundError("this process has no libcaffe.so")
    cpu, gpu, backward = (
        _classes(path, method) for method in ("Forward_cpu", "Forward_gpu", "Backward_gpu")
    )
    return bool(cpu & gpu & backward), (
        "of %d layers in %s with a Forward_cpu, %d have a Forward_gpu too, and %d a Backward_gpu"
        % (len(cpu), path.rpartition("/")[2], len(cpu & gpu), len(cpu & backward))
    )


def _classes(path: str, method: str) -> Set[bytes]:
    return names_in(path, re.compile((METHOD % method).encode()))
