"""Run one job, or a session of several: ``python -m harness DIR``.

Exit codes: 0 when every ``output.json`` is written, whatever it says; 2 when DIR cannot be used;
75 when its disk is full; 1 when a deadline passed (``watchdog.txt`` then holds every thread's
traceback).
"""

import faulthandler
import os
import sys
from typing import TYPE_CHECKING, Any, Dict, List

from harness import control, record, sessions

if TYPE_CHECKING:  # only after `set_up_process`
    from harness.process import Process


def main(arguments: List[str]) -> int:
    """Run the job in the control directory, or the jobs of a session; return the exit code."""
    interpreter_s = control.process_age_s()
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m harness DIR\n")
        return 2
    directory = arguments[0]
    faulthandler.enable()
    scratch = ""
    try:
        process = None
        for folder in sessions.folders(directory):
            job = control.read_job(folder)
            watchdog_report = control.start_watchdog(folder, job["deadline_s"])
            if process is None:
                scratch = control.set_up_process(directory, job["threads"])
                from harness.process import Process

                process = Process(job, interpreter_s)
            _serve(process, folder, job)
            control.stop_watchdog(watchdog_report)
    except control.BadInput as error:
        sys.stderr.write(f"harness: {error}\n")
        return 2
    except OSError as error:  # of its own files: what a phase raises is data
        if error.errno not in control.FULL:
            raise
        sys.stderr.write(f"harness: {error}\n")
        return record.NO_ROOM
    finally:
        control.remove_scratch(scratch)
    return 0


def _serve(process: "Process", folder: str, job: Dict[str, Any]) -> None:
    """Run one job and write its output."""
    own_process = os.getpid()
    output = process.run(folder, job)
    if os.getpid() != own_process:
        os._exit(1)  # a child that a framework forked left a phase: it has no output to write
    control.write_output(folder, output)


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
