"""What a machine says of itself, which is as little trusted as a file: its terminal, its engine."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from unittest import mock

from pydantic import TypeAdapter, ValidationError

from deepmatrix import reports
from deepmatrix.drawing.terminal import make_console
from deepmatrix.engines.docker.answers import Info, Version
from deepmatrix.results.rows import Results
from tests.fuzzing import Reader

#: Texts of COLUMNS and LINES, among them numbers of which one is a digit and none.
WIDTHS = ("0", "1", "2", "8", "19", "40", "160", "99999999", "9" * 5000, "-5", "²", "١", "1e3", "")

INFO = {
    "Architecture": "x86_64", "NCPU": 4, "MemTotal": 1 << 33, "OSType": "linux",
    "OperatingSystem": "Debian", "KernelVersion": "6.1", "SecurityOptions": ["name=seccomp"],
    "Runtimes": {"nvidia": {}}, "DiscoveredDevices": [{"ID": "a"}],
}  # fmt: skip
VERSION = {"Version": "26.0", "ApiVersion": "1.45", "Components": [{"Name": "Engine"}]}


def machine_readers(results: Results) -> Iterator[Reader]:
    """Yield the readers of a terminal's width, and of the answers of an engine."""
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


def _show(results: Results, content: bytes) -> None:
    try:
        text = str(json.loads(content))
    except (ValueError, RecursionError):
        text = content.decode("latin-1")
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
