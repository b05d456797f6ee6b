"""The import contracts of pyproject.toml hold for modules that are still to come."""

from __future__ import annotations

import tomllib

from deepmatrix.paths import HARNESS, ROOT

#: What the host may import of the harness.
SHARED = {"formats", "record"}


def test_every_other_module_of_the_harness_is_forbidden_to_the_host() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (forbidden,) = (
        contract["forbidden_modules"]
        for contract in contracts
        if contract.get("source_modules") == ["deepmatrix"]
    )
    names = {path.stem for path in HARNESS.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert {f"harness.{name}" for name in names - SHARED - {"__init__", "__pycache__"}} == set(
        forbidden
    )
