"""Numbers read from LoadGen's summaries."""

from __future__ import annotations

import pytest

from harness.runtimes.onnxruntime_loadgen import loadgen

SERVER = """\
Scenario : Server
Completed samples per second    : 1980.61
Result is : VALID
  Performance constraints satisfied : Yes
99.00 percentile latency (ns)   : 5208323
99.90 percentile latency (ns)   : 8281164
"""


def test_numbers_are_found_by_their_labels() -> None:
    assert loadgen._number(SERVER, "Completed samples per second") == 1980.61
    assert loadgen._number(SERVER, r"99\.00 percentile latency \(ns\)") == 5208323


def test_only_what_loadgen_calls_valid_is_valid() -> None:
    assert loadgen._valid(SERVER)
    assert not loadgen._valid(SERVER.replace(": VALID", ": INVALID"))


def test_a_number_that_is_not_there_is_an_error_and_no_zero() -> None:
    with pytest.raises(ValueError, match="no Samples per second"):
        loadgen._number(SERVER, "Samples per second")
