"""The one module that runs other programs.

Three ways: `run` for a short command whose output is needed, `stream` for a long one whose
lines are shown while it works, `start` for a process that its caller ends.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from deepmatrix.errors import EngineError, limit_hint

#: How many of a failed command's last lines its error quotes.
QUOTED_LINES = 15

#: How long a program may take to end after it was asked to, in seconds.
GRACE_S = 10.0

#: A process that its caller ends.
Process = subprocess.Popen[bytes]


class CommandFailed(EngineError):
    """A program ended with an error, took too long, or is not installed.

    ``code`` is its exit status, or None where it has none; ``output`` its last lines.
    """

    def __init__(
        self, message: str, *, hint: str = "", code: int | None = None, output: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.output = output


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    hint: str = "",
) -> str:
    """Run *command* to its end and return its standard output.

    *environment* is added to this process's own. Raises CommandFailed, quoting the last lines
    of standard error (of standard output, where that is empty), with *hint* as its hint.
    """
    try:
        completed = subprocess.run(
            command,
            env=_over_own(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(
            f"took longer than {timeout_s:g} s: {shell_line(command)}", hint=hint
        ) from None
    except OSError as error:
        raise _cannot_start(command, error, hint) from None
    if completed.returncode:
        raise failure(
            command, completed.returncode, completed.stderr.strip() or completed.stdout, hint
        )
    return completed.stdout


def stream(
    command: Sequence[str],
    *,
    on_line: Callable[[str], None],
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    hint: str = "",
) -> None:
    """Run *command*, giving each line of both its outputs to *on_line* and appending it to *log*.

    If this call ends early, by Ctrl-C too, it ends the program first. Raises CommandFailed.
    """
    last: deque[str] = deque(maxlen=QUOTED_LINES)
    with open(log or os.devnull, "a", encoding="utf-8") as file:  # noqa: PTH123
        process = start(command, environment=environment, hint=hint)
        try:
            assert process.stdout is not None
            for raw in process.stdout:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                file.write(line + "\n")
                last.append(line)
                on_line(line)
            code = process.wait()
        finally:
            end(process)
    if code:
        raise failure(command, code, "\n".join(last), hint)


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    inherit: bool = True,
    cwd: Path | None = None,
    output: int | IO[Any] = subprocess.PIPE,
    feed: bool = False,
    new_session: bool = False,
    hint: str = "",
) -> Process:
    """Start *command* with both its outputs going to *output*; the caller ends it.

    Without *inherit*, *environment* is its whole environment. With *feed* the caller writes its
    input. End it with `end`, or, where it has a session of its own, with `kill_group`.
    """
    try:
        return subprocess.Popen(
            command,
            env=_over_own(environment) if inherit else environment or {},
            cwd=cwd,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=new_session,
        )
    except OSError as error:
        raise _cannot_start(command, error, hint) from None


def end_with_input(process: Process, grace_s: float = GRACE_S) -> None:
    """End the input of *process*; where it goes on for *grace_s* seconds, end it otherwise."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # it has ended before
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    end(process)


def end(process: Process, grace_s: float = GRACE_S) -> None:
    """Ask *process* to end, kill it after *grace_s* seconds, and close its pipe."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def kill_group(process: Process) -> None:
    """Kill *process*, started with a session of its own, and its descendants in that session.

    Works after *process* itself has ended, too; the caller still waits for it.
    """
    if os.name != "posix":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def limited(command: Sequence[str], *, file_bytes: int, entrance: Path | None = None) -> list[str]:
    """Return *command* within limits of POSIX: no core files, no file above *file_bytes*.

    *entrance*: the file of a control group, which it enters first. Nothing of it runs before. A
    limit that this user may not set, being above a stricter one, stays as it is.
    """
    script = (
        '{ ulimit -c 0; ulimit -f "$1"; [ -z "$2" ] || echo $$ >"$2"; } 2>/dev/null; '
        'shift 2; exec "$@"'
    )
    blocks = max(1, file_bytes // 512)  # the unit of `ulimit -f`
    return ["/bin/sh", "-c", script, "sh", str(blocks), str(entrance or ""), *command]


def failure(command: Sequence[str], code: int, output: str, hint: str = "") -> CommandFailed:
    """Return the error for a command that ended with *code*, quoting its last lines."""
    last = "\n".join(output.strip().splitlines()[-QUOTED_LINES:])
    how = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
    message = f"{command[0]} {how}: {shell_line(command)}" + (f"\n{last}" if last else "")
    return CommandFailed(message, hint=_with_limit(hint), code=code, output=last)


def _with_limit(hint: str) -> str:
    """Return a hint with the limit of memory, which a program may have met, where there is one."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return hint
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return hint
    return "; ".join(filter(None, (f"memory is limited here: ulimit -v {most >> 10}", hint)))


def shell_line(command: Sequence[str]) -> str:
    """Write *command* so that it can be pasted into a shell."""
    return shlex.join(command)


def _over_own(environment: Mapping[str, str] | None) -> dict[str, str] | None:
    return {**os.environ, **environment} if environment else None


def _cannot_start(command: Sequence[str], error: OSError, hint: str) -> CommandFailed:
    reason = error.strerror or str(error)
    return CommandFailed(
        f"cannot start {command[0]}: {reason}",
        hint=limit_hint(error) or hint or f"install {command[0]}",
    )
