"""OpenBLAS as it is loaded in this process: its version, and the core that its kernels are for.

An older one takes a newer processor for one that it knows, and can lose half the speed by it.
"""

import ctypes

NAME = "libopenblas.so.0"


def set_threads(count):
    """Set the threads of every product from now on."""
    ctypes.CDLL(NAME).openblas_set_num_threads(count)


def threads():
    """Return the threads of a product."""
    return ctypes.CDLL(NAME).openblas_get_num_threads()


def describe():
    """Return name, version and core: ``OpenBLAS 0.3.13, core Haswell``."""
    library = ctypes.CDLL(NAME)
    for function in (library.openblas_get_config, library.openblas_get_corename):
        function.restype = ctypes.c_char_p
    name, version = library.openblas_get_config().decode().split()[:2]
    return "{} {}, core {}".format(name, version, library.openblas_get_corename().decode())
