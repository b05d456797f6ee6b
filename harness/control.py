"""The control directory: read the job, read and write arrays, write the output in one piece."""

import errno
import faulthandler
import json
import math
import os
import shutil
import time
import zipfile
from typing import IO, TYPE_CHECKING, Any, Dict, Optional

from harness import record

if TYPE_CHECKING:  # only after `set_up_process`, which sets the threads of numpy's BLAS
    import numpy

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

#: Errors of a disk that is full.
FULL = (errno.ENOSPC, errno.EDQUOT)


class BadInput(Exception):
    """The control directory cannot be used. Ends the process with exit code 2."""


def read_job(directory: str) -> Dict[str, Any]:
    """Return the job in ``input.json``. Raises BadInput, which says what to do."""
    path = os.path.join(directory, record.INPUT)
    try:
        with open(path, encoding="utf-8") as source:
            job = json.load(source)
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {error}; the host has to write it before the start")
    schema = job.get("schema") if isinstance(job, dict) else None
    if schema != record.SCHEMA_VERSION:
        raise BadInput(
            f"{path} has schema {schema}, this harness reads {record.SCHEMA_VERSION}; "
            "use the harness and the host of one version"
        )
    checked: Dict[str, Any] = job
    return checked


def start_watchdog(directory: str, deadline_s: float) -> IO[str]:
    """End this process with 1 after *deadline_s* seconds, whatever it does then; return its file.

    It first writes every thread's traceback into the file, which is empty until then. The host
    takes a file with text as the sign that the deadline has passed.
    """
    report = open(os.path.join(directory, record.WATCHDOG), "w", encoding="utf-8")  # noqa: SIM115
    faulthandler.dump_traceback_later(deadline_s, exit=True, file=report)
    return report


def stop_watchdog(report: IO[str]) -> None:
    """Let this process live on; remove the file of `start_watchdog`."""
    faulthandler.cancel_dump_traceback_later()
    report.close()
    os.remove(report.name)


def write_output(directory: str, output: Dict[str, Any]) -> None:
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


def _finite(value: Any) -> Any:
    """Return *value* with None for every number that is not finite, at any depth."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save_arrays(directory: str, path: str, arrays: "Dict[str, numpy.ndarray]") -> None:
    """Write *arrays* (name to array) as ``.npz`` below *directory*, in one piece.

    Any name works but one with a null character, which ends a name in an archive: ValueError.
    numpy.savez has arguments of its own, among them ``file``.
    """
    import numpy

    for name in arrays:
        if "\0" in name:
            raise ValueError("%r has a null character: rename it in the model" % name)

    path = os.path.join(directory, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = path + ".part"
    with zipfile.ZipFile(temporary, "w") as target:
        for name, array in arrays.items():
            with target.open(name + ".npy", "w", force_zip64=True) as member:
                numpy.lib.format.write_array(member, numpy.asanyarray(array))
    os.replace(temporary, path)


def load_arrays(directory: str, path: str) -> "Dict[str, numpy.ndarray]":
    """Return the arrays of an ``.npz`` below *directory* by name. Never unpickles."""
    import numpy

    with numpy.load(os.path.join(directory, path), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def save_array(directory: str, path: str, array: "numpy.ndarray") -> None:
    """Write one array as ``.npy`` below *directory*."""
    import numpy

    path = os.path.join(directory, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    numpy.save(path, array, allow_pickle=False)


def load_array(directory: str, path: str) -> "numpy.ndarray":
    """Return the array of an ``.npy`` below *directory*. Never unpickles."""
    import numpy

    array: numpy.ndarray = numpy.load(os.path.join(directory, path), allow_pickle=False)
    return array


def set_up_process(directory: str, threads: int) -> str:
    """Set the environment variables that numpy and frameworks read at import; return a folder.

    The root file system may be read-only and the user unknown to it, so every cache and
    temporary file goes into this folder below DIR. Frameworks need the user's name to name such
    folders, and fail where there is none.
    """
    scratch = os.path.join(os.path.abspath(directory), "tmp")
    os.makedirs(scratch, exist_ok=True)
    for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME", "KERAS_HOME", "TORCHINDUCTOR_CACHE_DIR"):
        os.environ[name] = scratch
    os.environ.setdefault("USER", "harness")
    provide_locale(os.path.join(scratch, "locale"))
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a thread without work sleeps
    return scratch


#: Where glibc keeps the one locale that every image has, and what it is asked for as.
_LOCALES = "/usr/lib/locale"
_LOCALE, _LOCALE_NAMES = "C.utf8", ("C.UTF-8", "en_US.UTF-8")


def provide_locale(folder: str) -> None:
    """Let the C library find a locale for American English, where the system has none.

    ONNX's StringNormalizer asks for it by default, to change the case of letters. In the locale
    for every language, C.UTF-8, they change in the same way.
    """
    source = os.path.join(_LOCALES, _LOCALE)
    if not os.path.isdir(source) or sorted(os.listdir(_LOCALES)) != [_LOCALE]:
        return
    os.makedirs(folder)
    for name in _LOCALE_NAMES:
        os.symlink(source, os.path.join(folder, name))
    os.environ["LOCPATH"] = folder


def remove_scratch(scratch: str) -> None:
    """Remove the folder of `set_up_process`; the host removes files that stay."""
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)


def process_age_s() -> Optional[float]:
    """Return the seconds since this process started, or None where the system hides it."""
    boottime = 7  # time.CLOCK_BOOTTIME has a name only since Python 3.7
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as source:
            ticks = int(source.read().rpartition(")")[2].split()[19])
        age = time.clock_gettime(boottime) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return age if 0 <= age < 3600 else None
