"""Energy, of a made-up folder of counters: few machines have any."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepmatrix.machine import energy


def domain(root: Path, name: str, counter: str, used: int | str) -> None:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(counter + "\n")
    (folder / "energy_uj").write_text(f"{used}\n")
    (folder / "max_energy_range_uj").write_text("1000000000\n")


def test_joules_are_summed_over_packages_only(tmp_path: Path) -> None:
    for name, counter, used in (
        ("intel-rapl:0", "package-0", 1_000_000),
        ("intel-rapl:1", "package-1", 5_000_000),
        ("intel-rapl:0:0", "core", 9_000_000),
    ):
        domain(tmp_path, name, counter, used)
    before = energy.read_counters(tmp_path)
    domain(tmp_path, "intel-rapl:0", "package-0", 3_500_000)
    domain(tmp_path, "intel-rapl:1", "package-1", 5_500_000)
    domain(tmp_path, "intel-rapl:0:0", "core", 9_900_000)
    assert energy.joules_between(before, energy.read_counters(tmp_path), tmp_path) == pytest.approx(
        3.0
    )


def test_an_overflowed_counter_is_corrected(tmp_path: Path) -> None:
    domain(tmp_path, "intel-rapl:0", "package-0", 999_000_000)
    before = energy.read_counters(tmp_path)
    domain(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    assert energy.joules_between(before, energy.read_counters(tmp_path), tmp_path) == pytest.approx(
        2.0
    )


def test_without_counters_there_are_no_joules(tmp_path: Path) -> None:
    assert energy.read_counters(tmp_path / "missing") == {}
    assert energy.joules_between({}, {}) is None
    domain(tmp_path, "intel-rapl:0", "package-0", "secret")
    assert energy.read_counters(tmp_path) == {}
