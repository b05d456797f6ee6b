"""The output of BuildKit, and the part of it that the user needs.

The stream is ``--progress rawjson``: one JSON object after the other, written over one line or
many. A vertex is one step; its name starts with the target it belongs to, as in
``[torch-debian12-amd64-cpu installed 3/3] RUN sh /install.sh``.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from deepmatrix.images.prepared import Progress

#: BuildKit's errors of steps that failed only because another did.
CANCELLED = ("context canceled", "CANCELED")


#: How many characters of a step's output are remembered, and how many its cause may have.
OUTPUT_LENGTH = 4000
CAUSE_LENGTH = 300


@dataclass
class Span:
    """When a target's first step started and its last one ended."""

    first: datetime | None = None
    last: datetime | None = None

    def add(self, started: str, completed: str) -> None:
        """Stretch it over one step; the times are BuildKit's, RFC 3339."""
        start, end = _time(started), _time(completed)
        self.first = min(self.first or start, start)
        self.last = max(self.last or end, end)


class Watch:
    """Follows one build of several targets, line by line, and writes it to *log* as text."""

    def __init__(self, targets: Sequence[str], progress: Progress, log: IO[str]) -> None:
        self.last = ""  # the last line that was not JSON: the client's own error
        self._spans = {target: Span() for target in targets}
        self._errors: dict[str, str] = {}
        self._progress = progress
        self._log = log
        self._lines: list[str] = []
        self._output: dict[str, str] = {}  # by vertex

    def line(self, line: str) -> None:
        """Take one line of the stream."""
        if not self._lines and not line.startswith("{"):
            self._log.write(line + "\n")
            self.last = line.strip() or self.last
            return
        self._lines.append(line)
        if line.endswith("}") and (line[0] == "{" or line[0] == "}"):
            text, self._lines = "\n".join(self._lines), []
            try:
                self._take(json.loads(text))
            except ValueError:
                self.last = line

    def seconds(self, target: str) -> float | None:
        """Return the seconds from a target's first step to the end of its last, or None.

        Steps of other targets or of an earlier build do not count; targets share the machine.
        """
        span = self._spans[target]
        if span.first is None or span.last is None:
            return None
        return (span.last - span.first).total_seconds()

    def errors(self) -> dict[str, str]:
        """Return the error line of each target that failed by itself."""
        return dict(self._errors)

    def _take(self, status: dict[str, Any]) -> None:
        for entry in status.get("logs") or ():
            text = base64.b64decode(entry.get("data") or "").decode("utf-8", "replace")
            self._log.write(text)
            # Programs write in pieces: a line may come in several entries.
            self._output[entry["vertex"]] = (self._output.get(entry["vertex"], "") + text)[
                -OUTPUT_LENGTH:
            ]
        for vertex in status.get("vertexes") or ():
            self._step(vertex)

    def _step(self, vertex: dict[str, Any]) -> None:
        match = re.match(r"\[([\w-]+) ?([^\]]*)\] ?(.*)", vertex.get("name", ""))
        if not match or match[1] not in self._spans or not vertex.get("started"):
            return
        target, step = match[1], _one_line(f"{match[2]} {match[3]}")
        if error := vertex.get("error"):
            if not any(word in error for word in CANCELLED):
                cause = _cause(self._output.get(vertex["digest"], "")) or _one_line(error)
                self._errors[target] = f"{cause} (step {match[2]})" if match[2] else cause
        elif not vertex.get("completed"):
            self._log.write(f"[{target}] {step}\n")
            self._progress(target, step[:80])
        elif not vertex.get("cached"):
            self._spans[target].add(vertex["started"], vertex["completed"])


def _cause(output: str) -> str:
    """Return the output from its last error line on, or its last line, as one line."""
    lines = [line for line in map(_one_line, output.splitlines()) if line]
    error_lines = [at for at, line in enumerate(lines) if re.match(r"(?i)(error|fatal)\b", line)]
    return " ".join(lines[error_lines[-1] :] if error_lines else lines[-1:])[:CAUSE_LENGTH]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _time(text: str) -> datetime:
    # Nanoseconds are more than datetime reads.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00"))
