"""The control directory: read the job, write the answer in one piece."""

import json
import math
import os
import shutil
import time
import zipfile

from harness import record

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class BadInput(Exception):
    """The control directory cannot be used. Ends the process with exit code 2."""


def read_job(directory):
    """Return the job in ``input.json``. Raises BadInput, which says what to do."""
    path = os.path.join(directory, record.INPUT)
    try:
        with open(path, encoding="utf-8") as source:
            job = json.load(source)
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {error}; the host has to write it before the start")
    found = job.get("schema") if isinstance(job, dict) else None
    if found != record.SCHEMA_VERSION:
        raise BadInput(
            f"{path} has schema {found}, this harness reads {record.SCHEMA_VERSION}; "
            "use the harness and the host of one version"
        )
    return job


def write_output(directory, output):
    """Write ``output.json`` so that a reader sees all of it or nothing.

    JSON has no NaN and no infinity: such a number becomes null.
    """
    path = os.path.join(directory, record.OUTPUT)
    temporary = path + ".part"
    with open(temporary, "w", encoding="utf-8") as target:
        json.dump(_finite(output), target, allow_nan=False)
        target.flush()
        os.fsync(target.fileno())
    os.replace(temporary, path)


def _finite(value):
    """Return *value* with null for every number that is not finite, however deep."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save_arrays(directory, path, arrays):
    """Write *arrays* (name to array) as ``.npz`` below *directory*, in one piece.

    Whatever they are called: numpy.savez has arguments of its own, among them ``file``.
    """
    import numpy

    path = os.path.join(directory, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = path + ".part"
    with zipfile.ZipFile(temporary, "w") as target:
        for name, array in arrays.items():
            with target.open(name + ".npy", "w", force_zip64=True) as member:
                numpy.lib.format.write_array(member, numpy.asanyarray(array))
    os.replace(temporary, path)


def load_arrays(directory, path):
    """Return the arrays of an ``.npz`` below *directory* by name. Never unpickles."""
    import numpy

    with numpy.load(os.path.join(directory, path), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def save_array(directory, path, array):
    """Write one array as ``.npy`` below *directory*."""
    import numpy

    path = os.path.join(directory, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    numpy.save(path, array, allow_pickle=False)


def load_array(directory, path):
    """Return the array of an ``.npy`` below *directory*. Never unpickles."""
    import numpy

    return numpy.load(os.path.join(directory, path), allow_pickle=False)


def set_up_process(directory, threads):
    """Settle what must be settled before numpy or a framework is imported.

    The root file system may be read-only and the user unknown to it, so every cache and
    temporary file goes below DIR. Frameworks ask for the user's name only to name such
    folders, and fail where there is none.
    """
    scratch = os.path.join(os.path.abspath(directory), "tmp")
    os.makedirs(scratch, exist_ok=True)
    for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME", "KERAS_HOME", "TORCHINDUCTOR_CACHE_DIR"):
        os.environ[name] = scratch
    os.environ.setdefault("USER", "harness")
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a thread without work sleeps
    return scratch


def remove_scratch(scratch):
    """Remove what `set_up_process` made; what resists is the host's to remove."""
    shutil.rmtree(scratch, ignore_errors=True)


def process_age_s():
    """Return the seconds since this process started, or None where the system does not say."""
    boottime = 7  # time.CLOCK_BOOTTIME has a name only since Python 3.7
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as source:
            ticks = int(source.read().rpartition(")")[2].split()[19])
        age = time.clock_gettime(boottime) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return age if 0 <= age < 3600 else None
