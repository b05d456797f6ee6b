"""The OpenBLAS loaded in this process: its version, and the core type that its kernels are for.

An old OpenBLAS takes a newer processor for an older core type and can lose half the speed.
"""

import ctypes

NAME = "libopenblas.so.0"


def set_threads(count: int) -> None:
    """Set the number of threads of all later products."""
    ctypes.CDLL(NAME).openblas_set_num_threads(count)


def threads() -> int:
    """Return the number of threads of a product."""
    return int(ctypes.CDLL(NAME).openblas_get_num_threads())


def describe() -> str:
    """Return name, version and core: ``OpenBLAS 0.3.13, core Haswell``."""
    library = ctypes.CDLL(NAME)
    for function in (library.openblas_get_config, library.openblas_get_corename):
        function.restype = ctypes.c_char_p
    name, version = library.openblas_get_config().decode().split()[:2]
    return "{} {}, core {}".format(name, version, library.openblas_get_corename().decode())
