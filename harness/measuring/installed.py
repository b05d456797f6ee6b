"""What a framework brings along: the packages that it requires, its licence, shared objects."""

import email.message
import email.parser
import os
import re
import sys
from typing import Any, Dict, Iterator, List, Optional, Tuple

from harness.measuring.machine import mapped_files, read_text

#: The name of a requirement, which goes on with versions, extras and markers.
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

LICENCES = "License :: "

#: What old tools wrote where a package says nothing.
UNKNOWN = "UNKNOWN"

LONGEST_LICENCE = 80


def describe(name: str) -> Optional[Dict[str, Any]]:
    """Return what a distribution says of itself: ``licence`` and ``requires``.

    *requires*: the names of all installed distributions that it needs, and that these need, sorted;
    without what it needs only for an extra. None where no metadata is installed.
    """
    installed = dict(_installed())
    own = installed.get(_normalized(name)) or installed.get(_normalized(name + "-cpu"))
    if own is None:
        return None
    needed: Dict[str, str] = {}
    pending = _requirements(own)
    while pending:
        requirement = pending.pop()
        folder = installed.get(requirement)
        if folder and folder != own and requirement not in needed:
            needed[requirement] = folder
            pending.extend(_requirements(folder))
    return {"licence": _licence(_metadata(own)), "requires": sorted(needed)}


def shared_objects() -> Optional[Dict[str, int]]:
    """Return how many shared objects this process has loaded, and their bytes on disk."""
    paths = mapped_files()
    if not paths:
        return None
    files = [path for path in paths if re.search(r"\.so(\.[0-9.]+)?$", path)]
    sizes = [os.path.getsize(path) for path in files if os.path.exists(path)]
    return {"count": len(sizes), "bytes": sum(sizes)}


def _installed() -> Iterator[Tuple[str, str]]:
    """Yield the normalized name and the metadata's path of every distribution, the first last."""
    for folder in reversed(sys.path):
        if not os.path.isdir(folder or "."):
            continue
        for entry in os.listdir(folder or "."):
            name, ending = os.path.splitext(entry)
            if ending in (".dist-info", ".egg-info"):
                yield _normalized(name.split("-")[0]), os.path.join(folder, entry)


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _metadata(path: str) -> "email.message.Message":
    for name in ("METADATA", "PKG-INFO", ""):
        text = read_text(os.path.join(path, name) if name else path)
        if text:
            return email.parser.HeaderParser().parsestr(text)
    return email.message.Message()


def _requirements(path: str) -> List[str]:
    """Return the normalized names of what a distribution requires, without any extra's."""
    lines = [
        str(line)
        for line in _metadata(path).get_all("Requires-Dist") or []
        if not re.search(r"\bextra\s*==", str(line))
    ]
    for line in read_text(os.path.join(path, "requires.txt")).splitlines():
        if line.startswith("["):
            break
        lines.append(line)
    matches = (REQUIREMENT.match(line.strip()) for line in lines)
    return [_normalized(match.group()) for match in matches if match]


def _licence(metadata: "email.message.Message") -> Optional[str]:
    """Return the licence: the expression, else the classifiers, else the first line of the text."""
    if metadata["License-Expression"]:
        return str(metadata["License-Expression"])
    classifiers = [str(entry) for entry in metadata.get_all("Classifier") or []]
    named = [entry.split(" :: ")[-1] for entry in classifiers if entry.startswith(LICENCES)]
    text = str(metadata["License"] or "").replace(UNKNOWN, "").strip().splitlines()
    return ", ".join(named) or (text[0][:LONGEST_LICENCE] if text else None)
