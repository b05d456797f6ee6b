"""What GitHub Actions does with the steps of an action or a job, as far as ours need it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deepmatrix.paths import ROOT
from tests import artifacts

EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")

#: What a composite action has of the context `github`.
GITHUB = {"server_url": "https://github.example", "repository": "team/models", "run_id": "7"}

#: What steps that use another action give: a checkout is there.
USED = {"actions/checkout": {}, "actions/setup-python": {"python-path": sys.executable}}

#: What they do with the files that jobs leave for later ones.
EXCHANGED = {
    "actions/download-artifact": artifacts.download,
    "actions/upload-artifact": artifacts.upload,
    "actions/upload-pages-artifact": artifacts.upload_pages,
}

#: How GitHub starts bash for a step that names no shell, and for one that does.
SHELLS = {
    "": ("bash", "-e"),
    "bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail"),
}

#: Steps that no test runs, by how they begin, and why.
NOT_RUN = {
    "python -m pip install --require-hashes": "new_checkout runs it once, for all jobs",
    "nox -s lint": "it takes minutes, and `.ci/run` runs it before the tests",
    "sudo apt-get update": "it changes the machine, which has to be a runner of GitHub",
    "sudo --preserve-env": "it is `.ci/run`, which runs this test among all others",
}

#: What a checkout may hold under the names of modules that the program imports.
HOSTILE = ("rich.py", "pip.py", "venv.py", "docker/__init__.py", "deepmatrix/__init__.py")


def load(path: Path) -> Any:
    """Return a YAML document; the key `on` stays a text."""
    return YAML(typ="safe").load(path)


@dataclass
class Runner:
    """Runs steps in a folder, each with the outputs of those before it.

    *context*: values by their path in expressions, such as ``inputs.models``.
    *environment*: beside what the step itself has.
    *store*: where jobs leave files for later ones.
    """

    folder: Path
    temporary: Path
    store: Path = Path("store")
    shell: str = ""
    context: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    log: str = ""
    failed: int = 0

    def __post_init__(self) -> None:
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.context.update({f"github.{key}": value for key, value in GITHUB.items()})
        self.context["runner.temp"] = str(self.temporary)

    def job(self, workflow: Any, name: str, after: str = "", failed: int = 0) -> int:
        """Run a job if its condition holds; return its exit code.

        The steps of `NOT_RUN` are left out, and with *after* all up to one step, which has ended
        with the code *failed*.
        """
        job = workflow["jobs"][name]
        self.failed = 0
        if not self._holds(job.get("if", "success()")):
            return 0
        self.shell = workflow.get("defaults", {}).get("run", {}).get("shell", "")
        variables = {**workflow.get("env", {}), **job.get("env", {})}
        self.environment.update({key: self.value(text) for key, text in variables.items()})
        steps = [step for step in job["steps"] if not is_left_out(step)]
        ids = [step.get("id") for step in steps]
        return self.run(steps[ids.index(after) + 1 :] if after else steps, failed)

    def run(self, steps: list[Mapping[str, Any]], failed: int = 0) -> int:
        """Run the steps whose condition holds; return the first exit code that is not 0, else 0.

        Without a condition that says so a step does not run after one that failed.
        """
        self.failed = failed
        for step in steps:
            if self._holds(step.get("if", "success()")):
                code = self._step(step)
                self.failed = self.failed or code
                outcome = "failure" if code else "success"
                self.context[f"steps.{step.get('id', '')}.outcome"] = outcome
        return self.failed

    def value(self, text: str) -> str:
        """Return a text with its expressions replaced; what is not there is empty, as on GitHub."""
        return EXPRESSION.sub(lambda match: self._first(match[1].split(" || ")), str(text))

    def _first(self, names: list[str]) -> str:
        return next((text for name in names if (text := self.context.get(name, ""))), "")

    def _holds(self, condition: str) -> bool:
        """Return whether a condition holds: a status, comparisons, or both."""
        status = {"always()": True, "success()": not self.failed, "failure()": bool(self.failed)}
        if " || " in condition:
            return any(map(self._holds, condition.split(" || ")))
        terms = condition.split(" && ")
        if not status.keys() & set(terms):
            terms.append("success()")
        return all(status[term] if term in status else self._compares(term) for term in terms)

    def _compares(self, term: str) -> bool:
        name, operator, literal = term.split()
        value = self.context.get(name, "")
        return {"!=": value != literal.strip("'"), "==": value == literal.strip("'")}[operator]

    def _step(self, step: Mapping[str, Any]) -> int:
        if "uses" in step:
            return self._use(step)
        files = {name: self.temporary / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("")
        own = {key: self.value(text) for key, text in step.get("env", {}).items()}
        assert "${{" not in step["run"], "an expression in a script is an injection"
        script = self.temporary / "step.sh"
        script.write_text(step["run"])
        try:
            ended = subprocess.run(
                [*SHELLS[step.get("shell", self.shell)], str(script)],
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
        except OSError as error:  # such as a variable that is too long
            self.log += f"{error}\n"
            return 1
        self.log += ended.stdout
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        lines = files["GITHUB_OUTPUT"].read_text().splitlines()
        self._keep(step, dict(line.split("=", 1) for line in lines))
        return ended.returncode

    def _use(self, step: Mapping[str, Any]) -> int:
        name = step["uses"].split("@")[0]
        if name in USED:
            self._keep(step, USED[name])
            return 0
        given = {key: self.value(text) for key, text in step["with"].items()}
        return EXCHANGED[name](self.store, self.folder, given)

    def _keep(self, step: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
        for key, value in outputs.items():
            self.context[f"steps.{step.get('id', '')}.outputs.{key}"] = value


def is_left_out(step: Mapping[str, Any]) -> bool:
    """Return whether `NOT_RUN` has a step."""
    return step.get("run", "").startswith(tuple(NOT_RUN))


def new_checkout(folder: Path) -> Path:
    """Copy what is tracked; beside it, make an environment of what the workflows install."""
    checkout = folder / "checkout"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    for name in filter(None, listed.stdout.decode().split("\0")):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    venv.create(folder / "programs", with_pip=True)
    installs = {
        step["run"]
        for path in sorted((ROOT / ".github/workflows").glob("*.yml"))
        for job in load(path)["jobs"].values()
        for step in job.get("steps", ())
        if "pip install --require-hashes" in step.get("run", "")
    }
    (install,) = installs
    python = folder / "programs" / "bin" / "python"
    subprocess.run([python, *install.split()[1:]], cwd=checkout, check=True)
    return checkout


def own_runner(checkout: Path, temporary: Path) -> Runner:
    """Return a runner of this repository's workflows, with what they install on its path."""
    runner = Runner(folder=checkout, temporary=temporary, environment=plain_environment())
    runner.store = temporary / "store"
    programs = checkout.parent / "programs" / "bin"
    runner.environment["PATH"] = f"{programs}:{runner.environment['PATH']}"
    return runner


def plain_environment() -> dict[str, str]:
    """Return this process's environment, with its Python first on the path.

    What would make Python import the repository is left out.
    """
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def plant(folder: Path) -> None:
    """Write modules into a checkout that end whatever program imports them."""
    for name in HOSTILE:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('raise SystemExit("ran what the checkout holds")\n')
