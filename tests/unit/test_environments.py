"""The real command, started where terminals, encodings and homes are not like the developer's."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import pty
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from deepmatrix.cli import main, parser
from deepmatrix.drawing.terminal import make_console
from deepmatrix.engines.docker import endpoints, interruptible
from deepmatrix.errors import ArgumentError, EngineError, system_error
from deepmatrix.machine import folders, locks, signals
from deepmatrix.machine.packages import indexes, npm
from deepmatrix.paths import ROOT
from deepmatrix.reports import markdown
from tests.unit.test_doors import put
from tests.unit.test_results import whole

#: What the environment of a command is, beyond PATH.
ENVIRONMENTS = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "dumb": {"TERM": "dumb"},
    "narrow": {"COLUMNS": "40"},
    "no home": {"HOME": ""},
    "nothing": {},
}
CODECS = {"C": "ascii", "latin-1": "latin-1"}
PLAN = ("plan", "--native", "amd64", "--native", "arm64")


def start(
    arguments: Sequence[str], environment: dict[str, str], **options: object
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "deepmatrix", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.DEVNULL,
        **{"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def ended(
    arguments: Sequence[str], environment: dict[str, str], **options: object
) -> tuple[int, bytes, bytes]:
    process = start(arguments, environment, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with all its records, for commands that only read one."""
    return whole(tmp_path_factory.mktemp("runs")).path


#: All of these at once, and a variable of others with a value that no time has.
HARSH = {
    **ENVIRONMENTS["C"],
    **ENVIRONMENTS["dumb"],
    **ENVIRONMENTS["narrow"],
    "HOME": "",
    "SOURCE_DATE_EPOCH": "9999999999999999999",
}

#: Commands that need an engine, or a package index: only their help is asked for.
NEEDY = frozenset(
    ("matrix", "verify", "conformance", "image", "bench", "engine", "pins", "packages", "worker")
)

#: All others, with arguments; the words in capitals stand for paths.
ALONE = {
    "init": ("MODEL",),
    "plan": PLAN[1:],
    "merge": ("RUN",),
    "show": ("RUN",),
    "compare": ("RUN", "RUN"),
    "jobs": ("MODEL", "--native", "amd64"),
    "review": ("RUN",),
    "history": ("--runs", "RUNS"),
    "completion": ("bash",),
    "fleet": ("certificates", "FOLDER"),
    "claims": ("RUN",),
    "evaluation": ("RUN",),
    "readme": ("PAGE", "--run", "RUN"),
    "schema": ("--check",),
    "reference": ("--check",),
}


def test_each_command_is_tried_alone_or_needs_an_engine() -> None:
    assert ALONE.keys() | NEEDY == parser.COMMANDS.keys() | parser.MAINTENANCE.keys()
    assert not ALONE.keys() & NEEDY


@pytest.mark.parametrize("command", [*parser.COMMANDS, *parser.MAINTENANCE])
def test_every_command_helps_where_nothing_is_as_usual(command: str) -> None:
    code, out, err = ended((command, "--help"), HARSH)
    assert (code, err) == (0, b"")
    assert out.decode("ascii").startswith("usage: ")


@pytest.mark.parametrize("epoch", ["", "x", "9999999999999999999"])
def test_a_date_of_builds_that_is_none_does_not_keep_statistics_from_being_loaded(
    epoch: str,
) -> None:
    script = (
        "import os; from deepmatrix.results.timing import statistics; "
        "statistics.scipy_module('special'); print(os.environ['SOURCE_DATE_EPOCH'])"
    )
    environment = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": epoch}
    command = [sys.executable, "-c", script]
    assert subprocess.check_output(command, env=environment, cwd=ROOT, text=True) == f"{epoch}\n"


@pytest.mark.parametrize("command", ["help", "plan", "merge", "show"])
def test_a_command_works_without_docstrings(command: str, finished: Path) -> None:
    arguments = {
        "help": ("--help",),
        "plan": PLAN,
        "merge": ("merge", str(finished)),
        "show": ("show", str(finished)),
    }[command]
    code, out, err = ended(arguments, {"PYTHONOPTIMIZE": "2"})
    assert (code, err) == (0, b"")
    assert out


@pytest.mark.parametrize("command", ["reference", "schema"])
def test_what_is_made_of_docstrings_needs_them(command: str) -> None:
    code, out, err = ended((command, "--check"), {"PYTHONOPTIMIZE": "2"})
    assert (code, out) == (2, b"")
    assert err.startswith(b"error: this is made of docstrings, and this Python drops them\n")


@pytest.mark.parametrize("command", ALONE)
def test_every_command_that_needs_no_engine_works_where_nothing_is_as_usual(
    command: str, finished: Path, tmp_path: Path
) -> None:
    names = {"RUN": finished, "RUNS": finished.parent}
    places = {**names, "PAGE": tmp_path / "page.md", "MODEL": tmp_path / "softmax11.onnx"}
    places["FOLDER"] = tmp_path / "certificates"
    places["PAGE"].write_text("<!-- report --><!-- /report -->")
    shutil.copyfile(ROOT / "tests" / "models" / "softmax11.onnx", places["MODEL"])
    arguments = [command, *(str(places.get(part, part)) for part in ALONE[command])]
    code, out, err = ended(arguments, {**HARSH, "PYTHONPATH": str(ROOT)}, cwd=tmp_path)
    assert (code, err) == (0, b"")
    text = out.decode("ascii")
    assert "\x1b" not in text
    assert "\\u" not in text


@pytest.mark.parametrize(
    ("name", "command"),
    [
        *itertools.product(ENVIRONMENTS, ["plan", "merge"]),
        *itertools.product(CODECS, ["help", "readme"]),
    ],
)
def test_a_command_works_in_any_environment(
    name: str, command: str, finished: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- report --><!-- /report -->", encoding="utf-8")
    arguments = {
        "help": ("verify", "--help"),
        "plan": PLAN,
        "merge": ("merge", str(finished)),
        "readme": ("readme", str(page), "--run", str(finished)),
    }[command]
    code, out, err = ended(arguments, ENVIRONMENTS[name])
    assert (code, err) == (0, b"")
    text = out.decode(CODECS.get(name, "utf-8"))
    assert "\x1b" not in text
    assert "\\u" not in text
    if name == "narrow" and command in ("plan", "merge"):
        lines = [line for line in text.splitlines() if str(finished) not in line]
        assert max(map(len, lines)) <= 40


@pytest.mark.parametrize("name", CODECS)
def test_an_error_is_one_line_in_any_environment(name: str) -> None:
    code, out, err = ended(("plan", "--preset", "smoek …"), ENVIRONMENTS[name])
    assert (code, out) == (2, b"")
    lines = err.decode(CODECS.get(name, "utf-8")).splitlines()
    assert lines[0].startswith("error: no preset 'smoek ")


@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
def test_a_terminal_of_40_columns_is_enough(term: str, finished: Path) -> None:
    host, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 40, 0, 0))
    with start(
        ("merge", str(finished)), {"TERM": term}, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        text = _read_all(host).decode()
    assert process.returncode == 0
    assert ("\x1b" in text) == (term == "xterm-256color")
    assert "all as expected" in text


@pytest.mark.parametrize(
    ("columns", "width"),
    [
        ("0", 20),
        ("1", 20),
        ("5", 20),
        ("99999999", 1000),
        ("²", 160),
        ("9" * 5000, 160),
        ("-5", 160),
        ("many", 160),
    ],
)
def test_a_width_that_nothing_can_be_drawn_in_is_not_taken(
    columns: str,
    width: int,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    assert make_console().width == width
    assert main.main(["merge", str(finished)]) == 0
    assert "Summary" in capsys.readouterr().out


def _read_all(descriptor: int) -> bytes:
    parts = []
    try:
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
    except OSError as error:  # a terminal whose other end was closed
        assert error.errno == errno.EIO
    os.close(descriptor)
    return b"".join(parts)


@pytest.mark.parametrize("arguments", [PLAN, (*PLAN, "--json"), ("verify", "--help")])
def test_a_reader_that_goes_away_ends_a_command_without_a_word(arguments: Sequence[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    process = start(arguments, {}, stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("code", [0, 2])
def test_a_stream_that_is_closed_takes_what_is_printed_to_nowhere(
    closed: str, code: int, finished: Path
) -> None:
    run = finished if code == 0 else finished / "nothing"
    script = f'exec "$0" -m deepmatrix merge "$1" {closed}'
    command = ["sh", "-c", script, sys.executable, str(run)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert process.returncode == code
    assert bool(process.stdout) == (code == 0 and " >&-" not in f" {closed}")
    assert bool(process.stderr) == (code != 0 and "2>&-" not in closed)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_that_is_full_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        process = start(PLAN, {}, stdout=full)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 3
    assert err.decode().splitlines()[0] == "error: No space left on device"


def test_a_name_that_is_not_utf_8_is_shown(tmp_path: Path) -> None:
    named = os.fsencode(tmp_path) + b"/\xff\x1b.onnx"
    for arguments in (["verify", named], ["plan", "--file", named], ["merge", named]):
        code, _, err = ended(arguments, {})  # type: ignore[arg-type]
        assert code == 2
        assert b"\\udcff\\x1b.onnx" in err


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"<!-- report -->\xff<!-- /report -->", "is not UTF-8 text"), (None, "no plain file")],
)
def test_a_page_that_is_no_text_is_refused_and_unchanged(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    page = tmp_path / "page.md"
    page.mkdir() if content is None else page.write_bytes(content)
    with pytest.raises(ArgumentError, match=reason):
        markdown.insert(page, lambda _: "# Page")
    assert content is None or page.read_bytes() == content


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a user that the system knows nothing of, as in a container with another user id."""

    def unknown(user: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for variable in ("HOME", "XDG_CACHE_HOME", "DOCKER_CONFIG", "DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_nothing_is_read_from_one() -> None:
    assert folders.home() == folders.NO_HOME
    assert npm.build_npmrc({}) == ""
    indexes.configured_sources({})
    list(endpoints.candidates({}))
    assert main.main(PLAN) == 0


@pytest.mark.parametrize("runtime", ["/dev/null", "/nothing", "nothing", f"/{'x' * 300}"])
@pytest.mark.usefixtures("homeless")
def test_a_folder_of_the_session_that_cannot_be_used_is_not_used(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert locks._own_folder() == tmp_path / "deepmatrix"
    list(endpoints.candidates({"XDG_RUNTIME_DIR": runtime, "HOME": str(tmp_path)}))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "session"))
    (tmp_path / "session").mkdir(mode=0o700)
    assert locks._own_folder() == tmp_path / "session" / "deepmatrix"
    (tmp_path / "session").chmod(0o777)
    assert locks._own_folder() == tmp_path / "deepmatrix"
    (tmp_path / "session").chmod(0o700)
    monkeypatch.setattr("os.geteuid", lambda: 4242)
    assert locks._own_folder() == tmp_path / "deepmatrix"


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_in_the_place_of_a_projects_file_is_named(kind: str, tmp_path: Path) -> None:
    put(tmp_path / "deepmatrix.yaml", kind)
    code, _, err = ended(("verify",), {"PYTHONPATH": str(ROOT)}, cwd=tmp_path)
    assert (code, err.startswith(b"error: deepmatrix.yaml: cannot be read")) == (2, True), err


@pytest.mark.usefixtures("homeless")
def test_without_a_home_what_is_kept_needs_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="there is no home folder") as caught:
        folders.cache()
    assert "HOME or XDG_CACHE_HOME" in caught.value.hint
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert folders.cache() == Path("/x/deepmatrix")


@pytest.mark.parametrize(
    "number",
    [
        *("ENOSPC", "EDQUOT", "EFBIG", "EMFILE", "EACCES", "EPERM", "EROFS", "EISDIR", "ENOTDIR"),
        *("EIO", "ENAMETOOLONG"),
    ],
)
def test_what_the_system_refuses_is_one_line_with_something_to_do(
    number: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = OSError(getattr(errno, number), os.strerror(getattr(errno, number)), "/some/where")

    def refuse(*_: object, **__: object) -> None:
        raise refused

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main.main(["plan", "--native", "amd64", "--write", "x", "--runs", "/some"]) == 3
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error: /some/where: {refused.strerror}"
    assert hint == f"hint: {system_error(refused).hint}"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_command_whose_engine_never_answers_can_be_interrupted(name: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="dm-", dir="/tmp"))  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(folder / "s"))
        silent.listen()
        process = start(("plan", "--engine", f"docker:unix://{folder}/s"), {})
        connections = [silent.accept()[0] for _ in range(2)]  # a first look, then the question
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=50)
        for connection in connections:
            connection.close()
    shutil.rmtree(folder)
    assert process.returncode == 130
    assert err.decode().splitlines() == ["error: interrupted"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_program_loads_ends_it_as_a_later_one(name: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "deepmatrix", *PLAN]
    environment = {"PATH": os.environ["PATH"]}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if b" deepmatrix.machine.signals" in line)
        next(line for line in process.stderr if b" rich" in line)
        process.send_signal(getattr(signal, name))
        rest = process.stderr.read()
    assert process.returncode == 130
    assert rest.splitlines()[-1] == b"error: interrupted"


def test_a_plan_that_asks_no_engine_imports_neither_the_sdk_nor_numpy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "deepmatrix", "plan", "--native", "amd64"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line for line in ended.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.split("|")[2].strip() for line in lines}
    assert "deepmatrix.planning.plan" in imported
    assert not imported & {"docker", "numpy", "deepmatrix.store.runs"}


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in signals.heeded_signals()
        with signals.cancel_on_signal() as cancel:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not cancel.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_call_to_an_engine_is_left_alone_only_after_an_interruption() -> None:
    cancel, release = threading.Event(), threading.Event()
    assert interruptible.call(lambda: "answer", cancel) == "answer"
    with pytest.raises(ZeroDivisionError):
        interruptible.call(lambda: 1 / 0, cancel)
    cancel.set()
    assert interruptible.call(lambda: "answer", cancel) == "answer"
    with pytest.raises(interruptible.NoAnswer):
        interruptible.call(release.wait, cancel, grace_s=0.01)
    release.set()


@pytest.mark.parametrize(
    ("limit", "value", "command", "hint"),
    [
        ("RLIMIT_NOFILE", 4, ["true"], "raise the limit of open files: ulimit -n 4096"),
        ("RLIMIT_AS", 1 << 30, ["false"], "memory is limited here: ulimit -v 1048576; start it"),
    ],
)
def test_a_limit_of_this_process_is_named(
    limit: str, value: int, command: list[str], hint: str
) -> None:
    script = f"""
import resource
from deepmatrix.errors import EngineError
from deepmatrix.machine import processes
resource.setrlimit(resource.{limit}, ({value}, {value}))
try:
    processes.run({command}, hint="start it")
except EngineError as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.decode().strip() == hint
