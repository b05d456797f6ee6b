"""A cold start: the system's file cache without the files that this interpreter would import.

It needs no privileges. The system drops pages that are written back and that no process has mapped;
other pages stay. What the import then reads from the disk shows whether the start was cold.
"""

import os
import sys
from typing import Optional


def evict() -> Optional[int]:
    """Drop the cached pages of every file below ``sys.path``; return the bytes of these files.

    None where the system cannot do it. Files that cannot be opened are skipped.
    """
    if not hasattr(os, "posix_fadvise"):
        return None
    total = 0
    for folder in sys.path:
        for parent, _, names in os.walk(folder):
            for name in names:
                total += _evict(os.path.join(parent, name))
    return total


def _evict(path: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return 0
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.fstat(descriptor).st_size
    except OSError:
        return 0
    finally:
        os.close(descriptor)


def read_bytes() -> Optional[int]:
    """Return the bytes that this process has read from disks, or None where the system hides it."""
    try:
        with open("/proc/self/io") as source:
            facts = dict(line.split(": ") for line in source.read().splitlines())
        return int(facts["read_bytes"])
    except (OSError, ValueError, KeyError):
        return None
