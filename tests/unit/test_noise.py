"""Canaries tell a disturbed round from the others."""

from __future__ import annotations

import pytest

from deepmatrix.judging import noise
from deepmatrix.store.reported.output import Canary, Output
from tests.unit.examples import CANARY, output, planned, record

JOB = next(planned("torch-debian12-amd64-cpu").jobs("produce"))
STEADY = {f"r{index}": (5e10 * (1 + index / 100), 1e10) for index in range(5)}


@pytest.mark.parametrize("slow", [(3.5e10, 1e10), (5e10, 7e9)])
def test_a_round_on_a_slower_machine_is_noisy(slow: noise.Rates) -> None:
    assert noise.noisy_jobs({**STEADY, "r2": slow}) == ["r2"]


def test_rounds_on_a_steady_machine_are_not_noisy() -> None:
    assert noise.noisy_jobs(STEADY) == []
    assert noise.noisy_jobs({}) == []


def test_a_job_is_as_slow_as_its_slower_canary() -> None:
    slow = {**CANARY, "matmul_flops": 1e10}
    document = output(JOB).model_dump(by_alias=True) | {"canaries": [CANARY, slow]}
    job_record = record(JOB, output=Output.model_validate(document))
    assert noise.rates(job_record) == (1e10, CANARY["copy_bytes_s"])
    assert noise.rates(record(JOB, status="oom", output=None)) is None


def test_the_peak_is_the_best_of_all() -> None:
    best = {**CANARY, "matmul_flops_best": 9e10}
    assert noise.peak_flops([Canary(**CANARY), Canary(**best)]) == 9e10
    assert noise.peak_flops([]) is None
