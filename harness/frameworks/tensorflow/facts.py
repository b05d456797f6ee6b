"""What TensorFlow's wheel says of its interfaces, its arithmetic and what it needs to run."""

import ctypes
import os
import re
import shutil
from typing import List, Optional, Pattern, Tuple

import tensorflow

from harness.measuring.facts import names_in, shared_objects

#: `tensorflow::NewSession(const SessionOptions&)`, as C++ writes its name.
NEW_SESSION = "_ZN10tensorflow10NewSessionERKNS_14SessionOptionsE"

#: A product of matrices by a BLAS library, in C and in Fortran, by oneDNN, also by its former name,
#: and the kernel of Eigen's. In a shared object names may share their ends, so that none stands
#: before a name of C. A pattern that does not begin with letters takes 20 times as long.
CBLAS = re.compile(rb"cblas_[sd]gemm\b")
FORTRAN = re.compile(rb"gemm_(?<=\0[sd]gemm_)\0")
ONEDNN = re.compile(rb"dnn(?:l|(?<=mkldnn))_sgemm\b")
EIGEN = re.compile(rb"_ZN5Eigen8internal11gebp_kernel")

COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "nvcc")

#: So many files are named.
MOST_NAMED = 3


def has_interface_of_cpp() -> Tuple[bool, str]:
    """A program in C++ can call it: the function that makes a session can be reached.

    Through a shared object, which has it or is linked with one that does.
    """
    named = _with_name(re.compile(NEW_SESSION.encode() + rb"\b"))
    reaching = [path for path in named if hasattr(ctypes.CDLL(path), NEW_SESSION)]
    names = _names(reaching) or "no shared object"
    return bool(reaching), "tensorflow::NewSession can be reached through " + names


def differentiates_without_a_compiler() -> Tuple[Optional[bool], str]:
    """It computes a gradient where no compiler of C or CUDA is installed."""
    compilers = [name for name in COMPILERS if shutil.which(name)]
    if compilers:
        return None, "this image has " + ", ".join(compilers)
    graph = tensorflow.Graph()
    with graph.as_default():
        x = tensorflow.constant([[2.0]])
        gradient = tensorflow.gradients(tensorflow.matmul(x, x), x)
    with tensorflow.compat.v1.Session(graph=graph) as session:
        value = session.run(gradient)[0].item()
    return value == 4, "the gradient of x times x at 2 came as %g; the path has none of %s" % (
        value,
        ", ".join(COMPILERS),
    )


def multiplies_by_eigen_without_blas() -> Tuple[Optional[bool], str]:
    """Its shared objects have Eigen's product of matrices, and none of a BLAS library.

    Where they have oneDNN's too, no file says which of both computes.
    """
    eigen, onednn = _with_name(EIGEN), _with_name(ONEDNN)
    blas = sorted({*_with_name(CBLAS), *_with_name(FORTRAN)})
    evidence = (
        "Eigen's product of matrices is %s; cblas_sgemm, cblas_dgemm, sgemm_ and dgemm_ are %s; "
        "mkldnn_sgemm and dnnl_sgemm are %s" % (_in(eigen), _in(blas), _in(onednn))
    )
    if blas or not eigen:
        return False, evidence
    if onednn:
        return None, evidence + ", and no file says whether Eigen's or oneDNN's computes"
    return True, evidence


def _with_name(pattern: Pattern[bytes]) -> List[str]:
    """Return the shared objects with a name; those of 1.15 are in a second folder."""
    parent = os.path.dirname(os.path.dirname(os.path.abspath(tensorflow.__file__)))
    folders = [os.path.join(parent, name) for name in ("tensorflow", "tensorflow_core")]
    paths = [path for folder in folders for path in shared_objects(folder)]
    if not paths:
        raise FileNotFoundError("no shared object is in %s" % " or ".join(folders))
    return [path for path in paths if names_in(path, pattern)]


def _in(paths: List[str]) -> str:
    return "in " + _names(paths) if paths else "nowhere"


def _names(paths: List[str]) -> str:
    """Return the names of the first few files, and how many more there are."""
    names = sorted({os.path.basename(path) for path in paths})
    further = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (" and %d more" % further if further > 0 else "")
