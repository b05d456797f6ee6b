"""What GitHub Actions does with the steps of an action or a job, as far as ours need it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")

#: What a composite action has of the context `github`.
GITHUB = {"server_url": "https://github.example", "repository": "team/models", "run_id": "7"}

#: What steps that use another action give: a checkout is there, and files stay where they are.
USED = {
    "actions/checkout": {},
    "actions/download-artifact": {},
    "actions/setup-python": {"python-path": sys.executable},
    "actions/upload-artifact": {},
}


def load(path: Path) -> Any:
    """Return a YAML document; the key `on` stays a text."""
    return YAML(typ="safe").load(path)


@dataclass
class Runner:
    """Runs steps in a folder, each with the outputs of those before it.

    *context*: values by their path in expressions, such as ``inputs.models``.
    *environment*: beside what the step itself has.
    """

    folder: Path
    temporary: Path
    context: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    log: str = ""

    def __post_init__(self) -> None:
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.context.update({f"github.{key}": value for key, value in GITHUB.items()})
        self.context["runner.temp"] = str(self.temporary)

    def run(self, steps: list[Mapping[str, Any]]) -> int:
        """Run steps up to the first that fails; return its exit code, else 0."""
        for step in steps:
            if "if" in step and not self._holds(step["if"]):
                continue
            if code := self._step(step):
                return code
        return 0

    def value(self, text: str) -> str:
        """Return a text with its expressions replaced; what is not there is empty, as on GitHub."""
        return EXPRESSION.sub(lambda match: self.context.get(match[1], ""), str(text))

    def _holds(self, condition: str) -> bool:
        name, operator, literal = condition.split()
        value = self.context.get(name, "")
        return {"!=": value != literal.strip("'"), "==": value == literal.strip("'")}[operator]

    def _step(self, step: Mapping[str, Any]) -> int:
        if "uses" in step:
            outputs = USED[step["uses"].split("@")[0]]
            self._keep(step, outputs)
            return 0
        files = {name: self.temporary / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("")
        own = {key: self.value(text) for key, text in step.get("env", {}).items()}
        assert "${{" not in step["run"], "an expression in a script is an injection"
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.folder,
            env={
                **self.environment,
                "RUNNER_TEMP": str(self.temporary),
                **own,
                **{name: str(path) for name, path in files.items()},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.log += ended.stdout
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        lines = files["GITHUB_OUTPUT"].read_text().splitlines()
        self._keep(step, dict(line.split("=", 1) for line in lines))
        return ended.returncode

    def _keep(self, step: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
        for key, value in outputs.items():
            self.context[f"steps.{step.get('id', '')}.outputs.{key}"] = value


def plain_environment() -> dict[str, str]:
    """Return this process's environment, with its Python first on the path.

    What would make Python import the repository is left out.
    """
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
