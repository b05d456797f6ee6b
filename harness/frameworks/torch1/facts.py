"""What the shared objects of torch 1.0.0 have of Lua's Torch."""

import os
import re
from typing import Set, Tuple

import torch

from harness.measuring.facts import names_in, shared_objects

TEMPORAL = re.compile(rb"THNN_Float(Temporal\w*Convolution)_updateOutput")


def thnn_has_temporal_convolution() -> Tuple[bool, str]:
    """Torch's C library of layers has a temporal convolution of its own."""
    names: Set[bytes] = set()
    for path in shared_objects(os.path.dirname(torch.__file__)):
        names |= names_in(path, TEMPORAL)
    listed = ", ".join(sorted(name.decode() for name in names)) or "no temporal convolution"
    return bool(names), "THNN has " + listed
