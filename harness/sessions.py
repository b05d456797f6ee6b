"""A session: one process that serves a queue of jobs, each in a control directory of its own.

The host puts them at ``DIR/jobs/0001``, ``DIR/jobs/0002``, ... one by one: the first before the
start, each other one once it has taken the files of the job before. So what was served is never
lost, and nothing of the host's runs beside a job.
"""

import json
import os
import shutil
import sys
import time
from typing import Any, Dict, Iterator, Optional

from harness import record
from harness.control import BadInput

#: How often to look for the next job, in seconds.
LOOK_S = 0.005


def read(directory: str) -> Optional[Dict[str, Any]]:
    """Return ``session.json``, or None where DIR itself is the only job's. Raises BadInput."""
    path = os.path.join(directory, record.SESSION)
    if not os.path.exists(path):
        return None
    try:
        with open(path, encoding="utf-8") as source:
            session: Dict[str, Any] = json.load(source)
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {error}; the host has to write it before the start")
    return session


def folders(directory: str) -> Iterator[str]:
    """Yield the control directory of each job; on return from a yield its output is written.

    Raises BadInput where the host does not hand in the next job in time: it has died.
    """
    session = read(directory)
    if session is None:
        yield directory
        return
    number = 1
    while True:
        name = record.job_folder(number)
        folder = os.path.join(directory, name)
        yield folder
        if os.path.exists(os.path.join(folder, record.LAST)):
            return
        tell_served(session["nonce"])
        number += 1
        _wait(os.path.join(directory, record.job_folder(number), record.READY), session["wait_s"])
        shutil.rmtree(folder, ignore_errors=True)


def tell_served(nonce: str) -> None:
    """Write the line to the log at which the host takes the job's files."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # a framework has closed it
            pass
    os.write(2, f"\n{nonce}\n".encode())


def _wait(path: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise BadInput(f"no {path} after {seconds:g} s: the host is gone")
        time.sleep(LOOK_S)
