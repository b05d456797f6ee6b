"""A sandbox around a plain process, by bubblewrap where this system has it and lets it work.

The process has no network, no capabilities, and namespaces of its own for processes, users and
messages. It sees the system's programs and libraries, its interpreter and its own folders; of these
it can write only its control directory, ``/tmp`` and ``/dev/shm``, which are folders of the task.
The user's files are not there. What it leaves running ends with it.

A sandbox is weaker than a container: the kernel is this machine's, its user is the one who runs
this, and its limits are those of a plain process.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deepmatrix.machine import processes

#: What of the system can be read, where it is there: programs, libraries, and how they are found.
SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/sys/devices/system",  # libraries read how many CPUs there are, and their caches
)

#: How long the trial of a sandbox may take, in seconds.
TRIAL_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Folders:
    """The folders of one process: *code* is read, *control* and *scratch* are written."""

    code: Path
    control: Path
    scratch: Path

    @classmethod
    def create(cls, parent: Path, code: Path | None = None) -> Folders:
        """Return the folders below *parent*; who fills *code* and *control* makes them."""
        scratch = parent / "scratch"
        for name in ("tmp", "shm"):
            (scratch / name).mkdir(parents=True)
        return cls(code=code or parent / "code", control=parent / "control", scratch=scratch)


@dataclass(frozen=True)
class Sandbox:
    """Bubblewrap, at *program*."""

    program: str

    def wrap(
        self,
        command: Sequence[str],
        python: Path,
        folders: Folders,
        *,
        readable: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Return the command that runs *command*, of the interpreter *python*, in a sandbox.

        *readable*: more files that it can read. *environment*: variables for *command* alone. Those
        of a cell may name a library to load, which must not happen before the sandbox is closed.
        """
        variables = environment or {}
        visible = [*interpreter_places(python), *_library_folders(), folders.code, *readable]
        return [
            self.program,
            *("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
            *_system(),
            *("--proc", "/proc", "--dev", "/dev"),
            *("--bind", str(folders.scratch / "shm"), "/dev/shm"),
            *("--bind", str(folders.scratch / "tmp"), "/tmp"),
            *(part for path in visible for part in ("--ro-bind", str(path), str(path))),
            *("--bind", str(folders.control), str(folders.control)),
            *("--remount-ro", "/dev", "--remount-ro", "/"),
            *(part for item in variables.items() for part in ("--setenv", *item)),
            *("--chdir", str(folders.code), "--", *command),
        ]

    def works(self, python: Path) -> bool:
        """Return whether an interpreter starts in this sandbox: it is tried."""
        with tempfile.TemporaryDirectory() as parent:
            folders = Folders.create(Path(parent))
            folders.code.mkdir()
            folders.control.mkdir()
            trial = [str(python), "-c", "import ctypes, json, threading"]
            try:
                processes.run(self.wrap(trial, python, folders), timeout_s=TRIAL_S)
            except processes.CommandFailed:
                return False
        return True


@cache
def find() -> Sandbox | None:
    """Return the sandbox of this system, or None where there is none or it does not work."""
    program = shutil.which("bwrap") if sys.platform == "linux" else None
    sandbox = Sandbox(program) if program else None
    return sandbox if sandbox and sandbox.works(Path(sys.executable)) else None


def interpreter_places(python: Path) -> list[Path]:
    """Return what an interpreter needs to be read: its environment and what that stands on.

    Each link on the way to the program itself is followed: an environment names its interpreter by
    the path of such a link.
    """
    places: list[Path] = []
    for path in _links(python):
        prefix = path.parent.parent
        is_home = (prefix / "pyvenv.cfg").is_file() or any(prefix.glob("lib/python3*/os.py"))
        place = prefix if is_home else path
        if place not in places and not place.is_relative_to("/usr"):
            places.append(place)
    return places


def _links(path: Path) -> Iterator[Path]:
    """Yield a path and all that it is a link to, at most as many as Linux follows."""
    for _ in range(40):
        yield path
        if not path.is_symlink():
            resolved = path.resolve()  # a folder above may be a link
            if resolved != path:
                yield resolved
            return
        path = Path(os.path.normpath(path.parent / path.readlink()))


def _library_folders() -> list[Path]:
    named = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    return [
        Path(name) for name in named if name and Path(name).is_absolute() and Path(name).is_dir()
    ]


def _system() -> Iterator[str]:
    for name in SYSTEM:
        path = Path(name)
        if path.parent == Path("/") and path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.exists():
            yield from ("--ro-bind", name, name)
