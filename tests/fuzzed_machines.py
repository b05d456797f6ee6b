"""What a machine says of itself, which is as little trusted as a file: its terminal, its engine."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from pydantic import TypeAdapter, ValidationError

from deepmatrix import reports
from deepmatrix.drawing.terminal import make_console
from deepmatrix.engines.docker.answers import Info, Version
from deepmatrix.machine import owner
from deepmatrix.machine.packages import indexes, npm
from deepmatrix.results.rows import Results
from tests.fuzzed_places import put
from tests.fuzzing import SPECIAL, Reader

#: Texts of COLUMNS and LINES, among them numbers of which one is a digit and none.
WIDTHS = ("0", "1", "2", "8", "19", "40", "160", "99999999", "9" * 5000, "-5", "²", "١", "1e3", "")

INFO = {
    "Architecture": "x86_64", "NCPU": 4, "MemTotal": 1 << 33, "OSType": "linux",
    "OperatingSystem": "Debian", "KernelVersion": "6.1", "SecurityOptions": ["name=seccomp"],
    "Runtimes": {"nvidia": {}}, "DiscoveredDevices": [{"ID": "a"}],
}  # fmt: skip
VERSION = {"Version": "26.0", "ApiVersion": "1.45", "Components": [{"Name": "Engine"}]}


#: Labels of owners, and files of package managers: those that are right, and nearly right.
LABELS = ("m/b/n/1/2", "m/b/n/²/2", "m/b/n/١/2", f"m/b/n/{'9' * 5000}/2", "m/b/n/-1/2", "m/b", "")
PIP = (
    "[global]\nindex-url = https://one.example/simple\n",
    "[global\n",
    "# caf\xe9\n",
    "x = 1",
    "",
)
NPM = ("registry=https://one.example/\n", "cafile=/x\n", "; caf\xe9\n", "=", "")


def machine_readers(folder: Path, results: Results) -> Iterator[Reader]:
    """Yield the readers of a terminal, an engine, labels of owners, and package managers' files."""
    folder.mkdir()
    mark = folder / "x" / "owner"
    yield Reader(
        "the mark of an owner", list(LABELS), {"enum": list(LABELS)},
        lambda content: _read_file(mark, content, lambda: list(owner.left_behind([mark]))),
    )  # fmt: skip
    pip, npmrc = folder / "pip.conf", folder / "npmrc"
    yield Reader(
        "pip's configuration", list(PIP), {"enum": list(PIP)},
        lambda content: _read_file(
            pip, content, lambda: indexes.configured_sources({"PIP_CONFIG_FILE": str(pip)})
        ),
    )  # fmt: skip
    yield Reader(
        "npm's configuration", list(NPM), {"enum": list(NPM)},
        lambda content: _read_file(
            npmrc, content, lambda: npm.build_npmrc({"NPM_CONFIG_USERCONFIG": str(npmrc)})
        ),
    )  # fmt: skip
    yield Reader(
        "a terminal's width", list(WIDTHS), {"enum": list(WIDTHS)},
        lambda content: _show(results, content),
    )  # fmt: skip
    for name, kind, answer in (("info", Info, INFO), ("version", Version, VERSION)):
        adapter = TypeAdapter(kind)
        yield Reader(
            f"an engine's {name}", [answer], adapter.json_schema(by_alias=True),
            lambda content, adapter=adapter: _read_answer(adapter, content),
        )  # fmt: skip


def _read_file(path: Path, content: bytes, read: Callable[[], object]) -> None:
    put(path, content if content in SPECIAL else _text(content).encode("latin-1", "replace"))
    read()


def _text(content: bytes) -> str:
    try:
        return str(json.loads(content))
    except (ValueError, RecursionError):
        return content.decode("latin-1")


def _show(results: Results, content: bytes) -> None:
    text = _text(content)
    text = text.replace("\0", "").encode("utf-8", "replace").decode()
    with mock.patch.dict(os.environ, {"COLUMNS": text, "LINES": text}):
        console = make_console()
    console.file = io.StringIO()
    reports.show(console, results)


def _read_answer(adapter: TypeAdapter[Info | Version], content: bytes) -> None:
    try:
        answer = adapter.validate_json(content)
    except ValidationError:
        return  # one clear error, as `deepmatrix.engines.docker.connection` makes of it
    str(answer)
