"""Run one job: ``python -m harness DIR``.

Exit codes: 0 when ``output.json`` is written, whatever it says; 2 when DIR cannot be used;
1 when the deadline passed (``watchdog.txt`` then holds every thread's traceback).
"""

import faulthandler
import os
import sys
from typing import List

from harness import control


def main(arguments: List[str]) -> int:
    """Read the job from the control directory, run it, write the output; return the exit code."""
    interpreter_s = control.process_age_s()
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m harness DIR\n")
        return 2
    directory = arguments[0]
    try:
        job = control.read_job(directory)
    except control.BadInput as error:
        sys.stderr.write(f"harness: {error}\n")
        return 2
    faulthandler.enable()
    watchdog_report = control.start_watchdog(directory, job["deadline_s"])
    scratch = control.set_up_process(directory, job["threads"])
    own_process = os.getpid()
    try:
        from harness.job import run

        output = run(directory, job, interpreter_s)
        if os.getpid() != own_process:
            os._exit(1)  # a child that a framework forked left a phase: it has no output to write
        control.write_output(directory, output)
    finally:
        control.remove_scratch(scratch)
    control.stop_watchdog(watchdog_report)
    return 0


def leave(code: int) -> None:
    """End the process at once.

    The output is written. Frameworks take up to two seconds to shut down, and some crash or hang
    then, which would count as a death of a cell whose work is done.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
