"""What CNTK's library says of its language."""

from typing import Tuple

import cntk  # noqa: F401 - for the libraries that it loads

from harness.measuring.facts import has_names_of_cpp


def is_of_cpp() -> Tuple[bool, str]:
    """Its library is of C++: it has names in a namespace of its own."""
    return has_names_of_cpp("Cntk.Core", "CNTK")
