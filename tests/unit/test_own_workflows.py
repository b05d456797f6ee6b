"""The workflows of this repository, run from their own YAML: the release, the matrix, the site."""

from __future__ import annotations

import base64
import http.server
import json
import re
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import ClassVar

import pytest
from ruamel.yaml import YAML

import deepmatrix
from deepmatrix import paths
from deepmatrix.config import matrix_file
from deepmatrix.paths import ROOT
from tests.workflows import Runner, load, new_checkout, own_runner, plain_environment

CI = load(ROOT / ".github/workflows/ci.yml")
CONFORMANCE = load(ROOT / ".github/workflows/conformance.yml")
MATRIX = load(ROOT / ".github/workflows/matrix.yml")
RELEASE = load(ROOT / ".github/workflows/release.yml")
SITE = load(ROOT / ".github/workflows/site.yml")
RUNNERS = {"amd64": "ubuntu-24.04", "arm64": "ubuntu-24.04-arm"}

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the workflows have this Python"
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_checkout(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def built(checkout: Path) -> Path:
    """A folder with the wheel and the sdist of the checkout."""
    folder = checkout.parent / "built"
    python = checkout.parent / "programs" / "bin" / "python"
    build = [python.with_name("uv"), "build", "--quiet", "--no-build-isolation"]
    subprocess.run([*build, "--python", python, "--out-dir", folder], cwd=checkout, check=True)
    return folder


def test_the_wheel_has_every_file_that_the_program_may_open(built: Path) -> None:
    named = {path for path in vars(paths).values() if isinstance(path, Path)}
    named -= {ROOT, paths.IMPORT_ROOT, paths.RUNS}
    named.add(ROOT / matrix_file.load(paths.MATRIX_FILE).expected_failures_file)
    listed = ["git", "ls-files", "--", *named]
    tracked = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)
    names = {
        name if name.startswith(("deepmatrix/", "harness/")) else f"deepmatrix/shipped/{name}"
        for name in tracked.stdout.splitlines()
    }
    (wheel,) = built.glob("*.whl")
    assert names - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_the_matrix_has_a_job_for_each_cell_of_the_plan(checkout: Path, tmp_path: Path) -> None:
    runner = own_runner(checkout, tmp_path)
    runner.context["inputs.preset"] = "smoke"
    assert runner.job(MATRIX, "plan") == 0, runner.log
    cells = json.loads((checkout / "plan.json").read_text())["cells"]
    assert {cell["architecture"] for cell in cells} == set(RUNNERS)
    for does in ("produces", "consumes"):
        assert any(cell[does] for cell in cells)
        jobs = json.loads(runner.context[f"steps.plan.outputs.{does}"])["include"]
        assert jobs == [
            {"cell": cell["id"], "runner": RUNNERS[cell["architecture"]]}
            for cell in cells
            if cell[does]
        ]
    assert (runner.store / "plan" / "plan.json").is_file()


def test_the_site_that_is_published_has_the_documents_of_the_checkout(
    checkout: Path, tmp_path: Path
) -> None:
    runner = own_runner(checkout, tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    page = checkout / "docs" / "ci.md"
    text = page.read_text("utf-8")
    page.write_text(f"{text}\n[nowhere](nowhere.md)\n", "utf-8")
    assert runner.job(SITE, "build") == 1, "a broken link"
    assert not runner.store.exists()
    page.write_text(text, "utf-8")
    assert runner.job(SITE, "build") == 0, runner.log
    assert "Run it in CI" in (runner.store / "github-pages/docs/ci/index.html").read_text("utf-8")


def test_a_release_is_built_of_what_is_installed_once_the_changelog_has_it(
    checkout: Path, tmp_path: Path
) -> None:
    version = deepmatrix.__version__
    runner = own_runner(checkout, tmp_path)
    runner.environment |= {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "cache")}
    changelog = checkout / "CHANGELOG.md"
    text = changelog.read_text("utf-8")
    for heading in (f"{version}.1 - 2026-12-01", f"{version}-alpha", version.replace(".", "-")):
        changelog.write_text(f"## {heading}\n{text}", "utf-8")
        runner.context["github.ref_name"] = f"v{version}"
        assert runner.job(RELEASE, "build") == 1, runner.log
    changelog.write_text(f"## {version} - 2026-12-01\n{text}", "utf-8")
    runner.context["github.ref_name"] = "v9.9.9"
    assert runner.job(RELEASE, "build") == 1, runner.log
    runner.context["github.ref_name"] = f"v{version}"
    assert runner.job(RELEASE, "build") == 0, runner.log
    built = {path.name for path in (runner.store / "dist").iterdir()}
    names = {f"deepmatrix-{version}.tar.gz", f"deepmatrix-{version}-py3-none-any.whl"}
    assert names <= built <= {*names, ".gitignore"}


def test_a_plan_of_more_jobs_than_github_starts_is_refused(checkout: Path, tmp_path: Path) -> None:
    path = checkout / "matrix.yaml"
    text = path.read_text("utf-8")
    document = load(path)
    variants = {f"onnxruntime_{n}": {"variant_of": "onnxruntime"} for n in range(64)}
    kept = {key: document[key] for key in ("version", "defaults", "tolerances", "limits")} | {
        "bases": {name: document["bases"][name] for name in ("debian12", "debian13")},
        "architectures": {name: document["architectures"][name] for name in RUNNERS},
        "devices": ["cpu"],
        "frameworks": {"torch": {"exports": ["onnx"]}},
        "runtimes": {"onnxruntime": {"reads": ["onnx"]}, **variants},
        "workloads": {"digits-conv": {"rate": 0.1}},
        "presets": {"default": {"cells": ["*"], "workloads": ["*"]}},
    }
    shutil.rmtree(checkout / "runs", ignore_errors=True)  # what another test planned here
    runner = own_runner(checkout, tmp_path)
    runner.context["inputs.preset"] = "default"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(kept, file)
    try:
        assert runner.job(MATRIX, "plan") == 1, runner.log
    finally:
        path.write_text(text, "utf-8")
    (line,) = [line for line in runner.log.splitlines() if line.startswith("::error ")]
    assert "default consumes on" in line
    assert "256 jobs at most" in line


@pytest.mark.parametrize(
    ("results", "code"),
    [("success success success", 0), ("success failure success", 1), ("success skipped", 1)],
)
def test_the_required_check_fails_unless_all_jobs_succeeded(
    tmp_path: Path, results: str, code: int
) -> None:
    runner = Runner(folder=tmp_path, temporary=tmp_path, environment=plain_environment())
    runner.context["join(needs.*.result, ' ')"] = results
    assert runner.job(CI, "all") == code, runner.log


def test_the_readers_are_fuzzed_with_inputs_made_from_the_run(
    checkout: Path, tmp_path: Path
) -> None:
    runner = own_runner(checkout, tmp_path)
    runner.context |= {"inputs.inputs": "100", "github.run_number": "7"}
    assert runner.job(CONFORMANCE, "fuzz") == 0, runner.log
    assert " 0 faults" in runner.log


class Index(http.server.BaseHTTPRequestHandler):
    """A package index that trusts whoever has a token of the identity provider, which it is too."""

    uploaded: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        is_audience = self.path.endswith("/audience")
        self._answer({"audience": "here"} if is_audience else {"value": "h.e30.s"})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/mint-token"):
            assert json.loads(content) == {"token": "h.e30.s"}
            self._answer({"success": True, "token": "pypi-minted"})
            return
        self.uploaded += [name.decode() for name in re.findall(rb'filename="([^"]+)"', content)]
        credentials = base64.b64decode(self.headers["Authorization"].split()[1]).decode()
        assert credentials == "__token__:pypi-minted"
        self._answer({})

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _answer(self, document: dict[str, object]) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def serve_index(certificate: Path) -> http.server.ThreadingHTTPServer:
    """Start an index with a certificate of its own, which is written with its key."""
    extensions = ("basicConstraints=CA:FALSE", "subjectAltName=IP:127.0.0.1")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=index"]
    make += [word for extension in extensions for word in ("-addext", extension)]
    written = ["-keyout", str(certificate), "-out", str(certificate.with_suffix(".crt"))]
    subprocess.run([*make, *written], check=True, capture_output=True)
    with certificate.open("a") as file:
        file.write(certificate.with_suffix(".crt").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_a_release_is_published_to_an_index_that_trusts_the_workflow(
    checkout: Path, built: Path, tmp_path: Path
) -> None:
    runner = own_runner(checkout, tmp_path)
    shutil.copytree(built, runner.store / "dist")
    certificate = tmp_path / "index.pem"
    server = serve_index(certificate)
    address = f"https://127.0.0.1:{server.server_port}"
    runner.environment |= {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{address}/identity?version=2",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of this job",
        "SSL_CERT_FILE": str(certificate),
        "UV_PUBLISH_URL": f"{address}/legacy/",
    }
    try:
        assert runner.job(RELEASE, "publish") == 0, runner.log
    finally:
        server.shutdown()
        server.server_close()
    version = deepmatrix.__version__
    names = {f"deepmatrix-{version}.tar.gz", f"deepmatrix-{version}-py3-none-any.whl"}
    assert set(Index.uploaded) == names, runner.log
