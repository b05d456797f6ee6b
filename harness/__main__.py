"""Run one job: ``python -m harness DIR``.

Exit codes: 0 when ``output.json`` is written, whatever it says; 2 when DIR cannot be used;
1 when the deadline passed (the log then holds every thread's traceback).
"""

import faulthandler
import os
import sys

from harness import control


def main(arguments):
    """Read the job from the control directory, do it, write the answer."""
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
    faulthandler.dump_traceback_later(job["deadline_s"], exit=True)
    scratch = control.set_up_process(directory, job["threads"])
    first = os.getpid()
    try:
        from harness import job as one_job

        output = one_job.run(directory, job, interpreter_s)
        if os.getpid() != first:
            os._exit(1)  # a child that a framework forked fell out of a phase: not its answer
        control.write_output(directory, output)
    finally:
        control.remove_scratch(scratch)
    return 0


def leave(code):
    """End the process at once.

    The answer is written. Frameworks take up to two seconds to take themselves apart, and some
    crash or hang at it, which would be counted as the death of a cell that has done its work.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
