"""Facts: what a framework's installed files, and small programs, say of it.

Such as the names in a shared object.

``harness/frameworks/<framework>/facts.py`` has a function for each fact. It takes nothing, and
returns whether the fact holds, None where that is a matter of judgement, and in a line what shows
it. It raises Unsupported where what the fact is about is not installed: the cell then lacks it.
"""

import contextlib
import glob
import inspect
import mmap
import os
import re
from types import ModuleType
from typing import Any, Dict, List, Pattern, Set, Tuple

from harness import failures, record
from harness.adapters import Unsupported
from harness.measuring.machine import mapped_files


def find_all(module: ModuleType) -> Dict[str, Dict[str, Any]]:
    """Return the outcome of each fact of a module: ``holds``, ``evidence``; or its ``error``."""
    outcomes = {}
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__.startswith("harness.frameworks.") and not name.startswith("_"):
            with contextlib.suppress(Unsupported):
                outcomes[name] = _find(function)
    return outcomes


def _find(function: Any) -> Dict[str, Any]:
    try:
        holds, evidence = function()
        evidence = evidence[: record.LONGEST_REMARK]
    except Unsupported:
        raise
    except failures.CAUGHT as exception:
        return failed(exception)
    return {"holds": holds, "evidence": evidence, "error": None}


def failed(exception: BaseException) -> Dict[str, Any]:
    """Return the outcome of a fact that an exception kept from being read."""
    return {"holds": None, "error": failures.as_error(exception)}


def shared_objects(folder: str) -> List[str]:
    """Return the paths of the shared objects in a folder, such as a package's."""
    paths = glob.glob(os.path.join(folder, "**", "*.so*"), recursive=True)
    return sorted(path for path in paths if os.path.isfile(path) and not os.path.islink(path))


def names_in(path: str, pattern: Pattern[bytes]) -> Set[bytes]:
    """Return what a regular expression finds in a file; of one with a group, the group."""
    if not os.path.getsize(path):
        return set()  # an empty file cannot be mapped
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return {match.group(match.lastindex or 0) for match in re.finditer(pattern, text)}


def mapped_file(name: str) -> str:
    """Return the path of a file that this process has mapped, by a part of its name."""
    for path in sorted(mapped_files()):
        if name in os.path.basename(path):
            return path
    raise FileNotFoundError("this process has no %s" % name)


def has_names_of_cpp(library: str, namespace: str) -> Tuple[bool, str]:
    """Return whether a loaded library has names in a namespace of C++, and how many.

    Args:
        library: a part of its file's name.
        namespace: one at the top. C++ writes its length before it.
    """
    path = mapped_file(library)
    names = names_in(path, re.compile(rb"_ZN%d%s\w+" % (len(namespace), namespace.encode())))
    return bool(names), "%s has %d names in the namespace %s of C++" % (
        os.path.basename(path),
        len(names),
        namespace,
    )
