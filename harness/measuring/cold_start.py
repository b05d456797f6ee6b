"""The file cache of the system: emptied of what this interpreter would import, without rights.

Pages that are written back and that no process has mapped are given up on request; nothing else
is touched. Whether it was really so is seen from what the import then reads from the disk.
"""

import os
import sys


def evict():
    """Give up the cached pages of every file below ``sys.path``; return their bytes, or None.

    None where the system has no such request. Files that cannot be opened are passed over.
    """
    if not hasattr(os, "posix_fadvise"):
        return None
    total = 0
    for folder in sys.path:
        for parent, _, names in os.walk(folder):
            for name in names:
                total += _evict(os.path.join(parent, name))
    return total


def _evict(path):
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


def read_bytes():
    """Return the bytes that this process has had read from disks, or None if nobody says."""
    try:
        with open("/proc/self/io") as source:
            facts = dict(line.split(": ") for line in source.read().splitlines())
        return int(facts["read_bytes"])
    except (OSError, ValueError, KeyError):
        return None
