"""A wrong matrix file gives one clear error with its place; a right one loads."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from deepmatrix.config import documents, expected_failures, matrix_file, references
from deepmatrix.config.documents import did_you_mean
from deepmatrix.config.families import FAMILIES
from deepmatrix.config.matrix import Matrix
from deepmatrix.errors import ArgumentError, ConfigError
from deepmatrix.paths import HARNESS, ROOT, SCHEMAS
from deepmatrix.study import statements
from deepmatrix.workloads import inputs, networks
from harness.formats import FORMATS

NETWORKS = ("digits-conv", "digits-lstm")

GOOD = """\
version: 1
bases:
  debian12:
    python: "3.11"
    image: python:3.11-slim
    suite: bookworm
architectures:
  amd64:
    platform: linux/amd64
    wheels: x86_64-manylinux_2_36
devices: [cpu, cuda]
frameworks:
  torch:
    family: wheels
    adapter: harness.frameworks.torch.adapter
    exports: [onnx]
runtimes:
  onnxruntime:
    family: wheels
    adapter: harness.runtimes.onnxruntime.adapter
    reads: [onnx]
exclude:
  - cells: "*-cuda"
    reason: "no GPU"
workloads:
  digits-conv: {network: digits-conv, batch: 64, epochs: 2, rate: 0.1, accuracy: 0.9}
presets:
  default:
    cells: ["*-cpu"]
    workloads: [digits-conv]
    rounds: {native: 3, emulated: 1}
    infer: {batches: [1, 32], samples: 50, min_s: 0.5, warmup: 5}
tolerances: {floor: 1.0e-6, factor: 8, producer: 1.0e-4, parity: 1.0e-4, loss: 1.0e-4, steps: 20}
limits:
  threads: 1
  memory: 4 GiB
  processes: 256
  log: 16 MiB
  file: 4 GiB
  deadline_s: 600
  emulated: 4
"""

#: What the messages list: everything that there is, so that a new one is added in its place only.
*_FIRST_FORMATS, _LAST_FORMAT = (
    repr(name) for name, entry in FORMATS.items() if not entry.variant_of
)
KNOWN_FORMATS = f"{', '.join(_FIRST_FORMATS)} or {_LAST_FORMAT}"
ADAPTERS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for role in ("frameworks", "runtimes")
    for path in (HARNESS / role).glob("*/adapter.py")
)

BAD = [
    pytest.param(
        'python: "3.11"',
        "python: 3.20",
        "4:13: 'python' is the number 3.20; quote it: \"3.20\"",
        id="an unquoted version",
    ),
    pytest.param(
        'python: "3.11"',
        'python: "three"',
        "4:13: 'three' is not valid here; write major.minor in quotes, like \"3.11\"",
        id="a version that is none",
    ),
    pytest.param(
        "frameworks:",
        "framworks:",
        "12:1: unknown key 'framworks'; did you mean 'frameworks'?",
        id="a misspelt key at the top",
    ),
    pytest.param(
        "    exports: [onnx]",
        "    export: [onnx]",
        "16:5: unknown key 'export'; did you mean 'exports'?",
        id="a misspelt key inside",
    ),
    pytest.param(
        "    suite: bookworm",
        "    suite: bookworm\n    colour: red",
        "7:5: unknown key 'colour'; known: image, installer, interpreter, python, suite, systems",
        id="a key like no other",
    ),
    pytest.param(
        "    suite: bookworm\n",
        "    suite: bookworm\n    suite: trixie\n",
        "7:5: duplicate key 'suite'",
        id="a duplicate key",
    ),
    pytest.param("    suite: bookworm\n", "", "4:5: missing key 'suite'", id="a missing key"),
    pytest.param(
        "[cpu, cuda]",
        "[cpu, cudaa]",
        "11:16: 'cudaa' is not one of 'cpu' or 'cuda'; did you mean 'cuda'?",
        id="an unknown device",
    ),
    pytest.param(
        "    reads: [onnx]",
        "    reads: [onxn]",
        f"21:13: 'onxn' is not one of {KNOWN_FORMATS}; did you mean 'onnx'?",
        id="an unknown format",
    ),
    pytest.param(
        "    reads: [onnx]",
        "    reads: [onnx-int8]",
        f"21:13: 'onnx-int8' is not one of {KNOWN_FORMATS}; did you mean 'onnx'?",
        id="a variant, which is read as its format",
    ),
    pytest.param(
        "workloads: [digits-conv]",
        "workloads: [digits-con]",
        "30:17: no workload 'digits-con'; did you mean 'digits-conv'?",
        id="a preset of a workload that is not there",
    ),
    pytest.param(
        "{network: digits-conv",
        "{network: digits-cnv",
        "26:26: no network 'digits-cnv'; did you mean 'digits-conv'?",
        id="a workload of a network that is not there",
    ),
    pytest.param(
        "version: 1",
        "version: 2",
        "1:10: 'version': must be less than or equal to 1, found 2",
        id="version 2",
    ),
    pytest.param(
        "  torch:",
        "  Torch:",
        "13:3: 'Torch' is not valid here; use lower-case letters, digits, '_' and single '-'",
        id="a name that cannot be in an id",
    ),
    pytest.param(
        "memory: 4 GiB",
        "memory: lots",
        "36:11: 'lots' is not a size; write it like \"4 GiB\"",
        id="a size that is none",
    ),
    pytest.param(
        "deadline_s: 600",
        "deadline_s: -1",
        "40:15: 'deadline_s': must be greater than 0, found -1",
        id="a negative time",
    ),
    pytest.param(
        "epochs: 2",
        "epochs: ten",
        "26:58: 'epochs' must be a whole number, found 'ten'",
        id="a word for a number",
    ),
    pytest.param(
        "accuracy: 0.9",
        "accuracy: 90",
        "26:82: 'accuracy': must be less than or equal to 1, found 90",
        id="an accuracy in percent",
    ),
    pytest.param(
        '["*-cpu"]',
        '["*-debian14-*"]',
        "29:13: '*-debian14-*' matches no cell; the nearest is 'torch-debian12-amd64-cpu'",
        id="a preset that matches no cell",
    ),
    pytest.param(
        '["*-cpu"]',
        '["torch-*-cuda"]',
        "29:13: 'torch-*-cuda' matches only excluded cells: no GPU",
        id="a preset of impossible cells",
    ),
    pytest.param(
        'cells: "*-cuda"',
        'cells: "*-cudda"',
        "23:12: '*-cudda' matches no cell",
        id="an exclusion of nothing",
    ),
    pytest.param(
        "  onnxruntime:",
        "  torch:",
        "18:3: 'torch' is already a framework; ids must be unique",
        id="a runtime named like a framework",
    ),
    pytest.param(
        '["*-cpu"]',
        '"*-cpu"',
        "29:12: 'cells' must be a list, found '*-cpu'; write [\"*-cpu\"]",
        id="no list",
    ),
    pytest.param(
        "tolerances: {floor: 1.0e-6, factor: 8, producer: 1.0e-4, "
        "parity: 1.0e-4, loss: 1.0e-4, steps: 20}",
        "tolerances: 8",
        "33:13: 'tolerances' must be a mapping, found 8",
        id="no mapping",
    ),
    pytest.param(
        "  default:", "  usual:", "27:1: there must be a preset 'default'", id="no default preset"
    ),
    pytest.param(
        "reads: [onnx]", "reads: []", "21:12: 'reads' must not be empty", id="an empty list"
    ),
    pytest.param(
        'reason: "no GPU"', 'reason: ""', "24:13: 'reason' must not be empty", id="no reason"
    ),
    pytest.param(
        "adapter: harness.frameworks.torch.adapter",
        "adapter: harness/torch",
        "15:14: 'harness/torch' is not valid here; "
        "write a dotted module name, like harness.frameworks.torch.adapter",
        id="a path for a module",
    ),
    pytest.param(
        "exports: [onnx]",
        "exports: [onnx]\n    environment: {A=B: c}",
        "17:19: 'A=B' is not valid here; write the name of an environment variable",
        id="no name of a variable",
    ),
    pytest.param(
        "  amd64:\n    platform: linux/amd64\n    wheels: x86_64-manylinux_2_36\n",
        "  amd64:\n    platform: linux/amd64\n    wheels: x86_64-manylinux_2_36\n"
        "  12-amd64:\n    platform: linux/amd64\n    wheels: x86_64-manylinux_2_36\n",
        None,
        id="an odd but possible architecture",
    ),
    pytest.param(
        "bases:",
        "bases: [",
        "4:11: not YAML: expected ',' or ']', but got ':'",
        id="an open bracket",
    ),
    # Numbers without end, or beyond all use.
    ("rate: 0.1", "rate: .inf", "26:67: 'rate': must be a finite number, found inf"),
    ("floor: 1.0e-6", "floor: .nan", "33:21: 'floor': must be a finite number, found nan"),
    ("loss: 1.0e-4", "loss: 1e999", "33:80: 'loss': must be a finite number, found inf"),
    (
        "deadline_s: 600",
        "deadline_s: .inf",
        "40:15: 'deadline_s': must be a finite number, found inf",
    ),
    ("min_s: 0.5", "min_s: .inf", "32:51: 'min_s': must be a finite number, found inf"),
    ("min_s: 0.5", "min_s: 3601", "32:51: 'min_s': must be less than or equal to 3600, found 3601"),
    (
        "deadline_s: 600",
        "deadline_s: 604801",
        "40:15: 'deadline_s': must be less than or equal to 604800, found 604801",
    ),
    (
        "factor: 8",
        "factor: 1.0e+7",
        "33:37: 'factor': must be less than or equal to 1000000, found 10000000.0",
    ),
    (
        "file: 4 GiB",
        "file: 999999999999 GiB",
        "39:9: 'file' must be at most 1 PiB, found '999999999999 GiB'",
    ),
    ("memory: 4 GiB", "memory: 4 MiB", "36:11: 'memory' must be at least 64 MiB, found '4 MiB'"),
    (
        "native: 3",
        "native: 1000000000000",
        "31:22: 'native': must be less than or equal to 1000, found 1000000000000",
    ),
    (
        "samples: 50",
        "samples: 1000001",
        "32:40: 'samples': must be less than or equal to 1000000, found 1000001",
    ),
    (
        "threads: 1",
        "threads: 1025",
        "35:12: 'threads': must be less than or equal to 1024, found 1025",
    ),
    (
        "processes: 256",
        "processes: 1000001",
        "37:14: 'processes': must be less than or equal to 1000000, found 1000001",
    ),
    (
        "epochs: 2",
        "epochs: 100001",
        "26:58: 'epochs': must be less than or equal to 100000, found 100001",
    ),
    ("batch: 64", "batch: 1439", "26:46: 'batch': the training set has 1438 images, found 1439"),
    # Names of what is not there.
    ("family: wheels", "family: whels", "14:13: no image family 'whels'; did you mean 'wheels'?"),
    (
        "family: wheels",
        "family: base",
        f"14:13: no image family 'base'; known: {', '.join(sorted(FAMILIES))}",
    ),
    (
        "frameworks.torch.adapter",
        "frameworks.troch.adapter",
        "15:14: no adapter 'harness.frameworks.troch.adapter'; "
        "did you mean 'harness.frameworks.torch.adapter'?",
    ),
    (
        "harness.frameworks.torch.adapter",
        "os",
        f"15:14: no adapter 'os'; known: {', '.join(ADAPTERS)}",
    ),
    # The same twice.
    (
        "workloads: [digits-conv]",
        "workloads: [digits-conv, digits-conv]",
        "30:30: 'digits-conv' is listed twice",
    ),
    ("exports: [onnx]", "exports: [onnx, onnx]", "16:21: 'onnx' is listed twice"),
    ("batches: [1, 32]", "batches: [1, 1]", "32:26: 1 is listed twice"),
    ("[cpu, cuda]", "[cpu, cpu]", "11:16: 'cpu' is listed twice"),
    # Almost the right type.
    ("version: 1", "version: true", "1:10: 'version' must be a whole number, found true"),
    ("version: 1", "version: 1.0", "1:10: 'version' must be a whole number, found 1.0"),
    ("threads: 1", "threads: true", "35:12: 'threads' must be a whole number, found true"),
    ("threads: 1", 'threads: "1"', "35:12: 'threads' is the text \"1\"; write it without quotes"),
    ("accuracy: 0.9", "accuracy: true", "26:82: 'accuracy' must be a number, found true"),
    (
        "accuracy: 0.9",
        "accuracy: '0.9'",
        "26:82: 'accuracy' is the text \"0.9\"; write it without quotes",
    ),
    ("memory: 4 GiB", "memory: true", '36:11: true is not a size; write it like "4 GiB"'),
    ("suite: bookworm", "suite: true", "6:12: 'suite' is the truth value true; quote it: \"true\""),
    (
        "image: python:3.11-slim",
        'image: "python\\n"',
        r"5:12: 'python\n' is not valid here; write the name of an image, without spaces",
    ),
    ("no GPU", r"no\nGPU", r"24:13: 'no\nGPU' is not valid here; write it on one line"),
    ("suite: bookworm", "suite: 2001-99-99", "6:12: not YAML: month must be in 1..12"),
    (
        "  torch:",
        "  " + 41 * "t" + ":",
        f"13:3: '{41 * 't'}' may have 40 characters at most, found 41",
    ),
    (
        "{network: digits-conv",
        "{network: 3.20",
        "26:26: 'network' is the number 3.20; quote it: \"3.20\"",
    ),
    ("  emulated: 4\n", "  emulated:", "41:12: 'emulated' must be a number, found nothing"),
    # Keys that are not text.
    ("  torch:", "  12:", "13:3: the key 12 is not text; write it in quotes"),
    ("  torch:", "  true:", "13:3: the key true is not text; write it in quotes"),
    ("version: 1", "version: 1\n12: a", "2:1: the key 12 is not text; write it in quotes"),
    ("suite: bookworm", "suite: " + 3000 * "[", "6:29: not YAML: nested too deeply"),
]


@pytest.fixture(autouse=True)
def in_the_folder_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(tmp_path: Path, text: str) -> Matrix:
    path = tmp_path / "matrix.yaml"
    path.write_text(text)
    return matrix_file.load(path, networks=NETWORKS)


def test_the_good_file_loads(tmp_path: Path) -> None:
    matrix = load(tmp_path, GOOD)
    assert list(matrix.cell_ids()) == [
        "torch-debian12-amd64-cpu",
        "torch-debian12-amd64-cuda",
        "onnxruntime-debian12-amd64-cpu",
        "onnxruntime-debian12-amd64-cuda",
    ]
    assert matrix.exclusion("torch-debian12-amd64-cuda") == "no GPU"
    assert matrix.limits.memory == 4 * 2**30


@pytest.mark.parametrize(("right", "wrong", "message"), BAD)
def test_a_bad_file_says_where_and_what(
    tmp_path: Path, right: str, wrong: str, message: str | None
) -> None:
    assert right in GOOD
    text = GOOD.replace(right, wrong, 1)
    if message is None:
        load(tmp_path, text)
        return
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.message == f"matrix.yaml:{message}"
    assert caught.value.exit_code == 2


# What the file need not state ------------------------------------------------------------------

VARIANT = """\
  onnxruntime_fast:
    variant_of: onnxruntime
    options: {speed: high}
exclude:
"""


def with_variant(text: str = VARIANT) -> str:
    return GOOD.replace("exclude:\n", text, 1)


def test_a_variant_has_all_of_its_origin_but_what_it_states(tmp_path: Path) -> None:
    matrix = load(tmp_path, with_variant())
    origin, variant = matrix.runtimes["onnxruntime"], matrix.runtimes["onnxruntime_fast"]
    assert (variant.adapter, variant.reads) == (origin.adapter, origin.reads)
    assert (variant.options, origin.options) == ({"speed": "high"}, {})
    assert (variant.pins, origin.pins) == ("onnxruntime", None)


def test_a_variant_with_a_command_has_not_its_origins_adapter(tmp_path: Path) -> None:
    text = VARIANT.replace("options: {speed: high}", "command: [/runner]")
    variant = load(tmp_path, with_variant(text)).runtimes["onnxruntime_fast"]
    assert (variant.adapter, variant.command) == (None, ("/runner",))


def test_a_base_that_names_its_systems_has_their_variants(tmp_path: Path) -> None:
    text = with_variant().replace("suite: bookworm", "suite: bookworm\n    systems: [onnxruntime]")
    text = text.replace('["*-cpu"]', '["onnxruntime_fast-*-cpu"]')
    assert {cell_id.split("-")[0] for cell_id in load(tmp_path, text).cell_ids()} == {
        "onnxruntime",
        "onnxruntime_fast",
    }


ORIGIN = "    adapter: harness.runtimes.onnxruntime.adapter\n"


def test_an_adapter_is_named_like_its_system_by_default(tmp_path: Path) -> None:
    assert ORIGIN in GOOD
    runtime = load(tmp_path, GOOD.replace(ORIGIN, "")).runtimes["onnxruntime"]
    assert runtime.adapter == "harness.runtimes.onnxruntime.adapter"


WITH_DEFAULTS = GOOD.replace(
    "workloads:\n",
    "defaults:\n  workloads: {batch: 16}\n"
    "  presets: {infer: {batches: [1], samples: 9, min_s: 0, warmup: 1}}\nworkloads:\n",
    1,
)


def test_workloads_and_presets_have_defaults(tmp_path: Path) -> None:
    text = WITH_DEFAULTS.replace("{network: digits-conv, batch: 64, ", "{")
    text = text.replace("infer: {batches: [1, 32], samples: 50, min_s: 0.5, warmup: 5}", "")
    matrix = load(tmp_path, text)
    workload, preset = matrix.workloads["digits-conv"], matrix.presets["default"]
    assert (workload.network, workload.batch) == ("digits-conv", 16)
    assert (preset.infer.batches, preset.infer.samples) == ((1,), 9)


def test_frameworks_and_runtimes_have_default_devices(tmp_path: Path) -> None:
    defaults = "defaults:\n  runtimes: {devices: [cpu]}\n"
    matrix = load(tmp_path, with_variant().replace("frameworks:\n", f"{defaults}frameworks:\n", 1))
    assert list(matrix.cell_ids()) == [
        "torch-debian12-amd64-cpu",
        "torch-debian12-amd64-cuda",
        "onnxruntime-debian12-amd64-cpu",
        "onnxruntime_fast-debian12-amd64-cpu",
    ]


def test_a_default_stands_in_for_single_keys_too(tmp_path: Path) -> None:
    text = WITH_DEFAULTS.replace(
        "{batches: [1, 32], samples: 50, min_s: 0.5, warmup: 5}", "{warmup: 2}"
    )
    infer = load(tmp_path, text).presets["default"].infer
    assert (infer.batches, infer.samples, infer.warmup) == ((1,), 9, 2)


def test_globs_of_workloads_go_in_the_order_of_the_file(tmp_path: Path) -> None:
    section = "workloads:\n" + "".join(
        f"  {name}: {{network: digits-conv, batch: 8, epochs: 1, rate: 1, accuracy: 0}}\n"
        for name in ("z-tiny", "b-tiny", "a-tiny")
    )
    text = GOOD.replace("workloads:\n", section, 1)
    text = text.replace("workloads: [digits-conv]", 'workloads: [digits-conv, a-tiny, "*-tiny"]')
    workloads = load(tmp_path, text).presets["default"].workloads
    assert workloads == ("digits-conv", "a-tiny", "z-tiny", "b-tiny")


INCOMPLETE = [
    (
        with_variant(VARIANT.replace("variant_of: onnxruntime", "variant_of: onnxrutnime")),
        "23:17: no 'onnxrutnime' under runtimes; did you mean 'onnxruntime'?",
    ),
    (
        with_variant(VARIANT.replace("variant_of: onnxruntime", "variant_of: torch")),
        "23:17: no 'torch' under runtimes; known: onnxruntime, onnxruntime_fast",
    ),
    (
        with_variant(VARIANT.replace("variant_of: onnxruntime", "variant_of: onnxruntime_fast")),
        "23:17: 'onnxruntime_fast' cannot be a variant of itself",
    ),
    (
        with_variant("  second:\n    variant_of: onnxruntime_fast\n" + VARIANT),
        "23:17: 'onnxruntime_fast' is itself a variant; name its origin, 'onnxruntime'",
    ),
    (
        with_variant().replace("reads: [onnx]", "reads: [onxn]"),
        f"21:13: 'onxn' is not one of {KNOWN_FORMATS}; did you mean 'onnx'?",
    ),
    (
        GOOD.replace("  onnxruntime:", "  mylib:").replace(ORIGIN, ""),
        "18:3: 'mylib' has no adapter: write harness/runtimes/mylib/adapter.py, or name an adapter "
        "or a command",
    ),
    (
        GOOD.replace("{network: digits-conv, ", "{").replace("digits-conv", "digits-cnv"),
        "26:3: no network 'digits-cnv'; did you mean 'digits-conv'?",
    ),
    (
        WITH_DEFAULTS.replace("samples: 9", "samples: none").replace("samples: 50, ", ""),
        "27:44: 'samples' must be a whole number, found 'none'",
    ),
    (
        WITH_DEFAULTS.replace("samples: 9", "smaples: 9"),
        "27:35: unknown key 'smaples'; did you mean 'samples'?",
    ),
    (
        GOOD.replace("workloads: [digits-conv]", 'workloads: ["digits-l*"]'),
        "30:17: 'digits-l*' matches no workload; the nearest is 'digits-conv'",
    ),
    # Keys of older versions.
    (
        GOOD + "known: []\n",
        "42:1: 'known' has no place here: expected failures are in a file of their own: "
        "name it as expected_failures_file",
    ),
    (
        with_variant("    patience: 4\nexclude:\n"),
        "22:5: 'patience' is now 'deadline_factor'",
    ),
    (
        GOOD.replace("{floor: 1.0e-6", "{stated: [], floor: 1.0e-6"),
        "33:14: 'stated' is now 'overrides'",
    ),
]


@pytest.mark.parametrize(("text", "message"), INCOMPLETE)
def test_what_cannot_be_completed_is_said_at_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.message == f"matrix.yaml:{message}"


# Expected failures ----------------------------------------------------------------------------

FAILURES = """\
version: 1
failures:
  - cells: "onnxruntime-*"
    subjects: "torch-*--onnx"
    reason: "so it is"
"""


NAMING_FAILURES = GOOD + "expected_failures_file: expected-failures.yaml\n"


def test_expected_failures_stand_in_the_file_that_the_matrix_file_names(tmp_path: Path) -> None:
    (tmp_path / "expected-failures.yaml").write_text(FAILURES)
    assert not load(tmp_path, GOOD).expected_failures
    matrix = load(tmp_path, NAMING_FAILURES)
    artifact = "torch-debian12-amd64-cpu--digits-conv--onnx"
    assert matrix.expected_failure("onnxruntime-debian12-amd64-cpu", artifact) == "so it is"
    assert not matrix.expected_failure("torch-debian12-amd64-cpu", artifact)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            '"onnxruntime-*"',
            '"onnxrutnime-*"',
            "3:12: 'onnxrutnime-*' matches no cell; the nearest is 'onnxruntime-*'",
        ),
        ("reason:", "reasons:", "5:5: unknown key 'reasons'; did you mean 'reason'?"),
        ("failures:", "known:", "2:1: unknown key 'known'; known: failures, version"),
        ("version: 1\n", "", "1:1: missing key 'version'"),
    ],
)
def test_a_bad_file_of_expected_failures_says_where_and_what(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    (tmp_path / "expected-failures.yaml").write_text(FAILURES.replace(right, wrong))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, NAMING_FAILURES)
    assert caught.value.message == f"expected-failures.yaml:{message}"


def test_a_named_file_of_expected_failures_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"expected-failures[.]yaml"):
        load(tmp_path, NAMING_FAILURES)


def test_the_training_set_has_as_many_images_as_said() -> None:
    images = inputs.load_data(networks.NETWORKS["digits-conv"])["train_x"]
    assert len(images) == references.TRAINING_IMAGES


def test_two_cells_cannot_have_one_id(tmp_path: Path) -> None:
    text = GOOD.replace("  torch:", "  torch-debian12:", 1).replace("  onnxruntime:", "  torch:", 1)
    text = text.replace("  debian12:\n", "  debian12-debian12:\n", 1) + ""
    base = text[text.index("  debian12-debian12:") : text.index("architectures:")]
    text = text.replace(base, base + base.replace("debian12-debian12", "debian12"), 1)
    with pytest.raises(ConfigError, match="stands for two cells; rename one of its parts"):
        load(tmp_path, text)


def test_all_problems_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("deadline_s: 600", "deadline_s: 0").replace('"3.11"', "3.11")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    first, second = caught.value.message.splitlines()
    assert first.startswith("matrix.yaml:4:13: 'python' is the number 3.11")
    assert second.startswith("matrix.yaml:40:15: 'deadline_s'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "matrix.yaml:1:1: expected a mapping with 'version', found nothing"),
        ("a word", "matrix.yaml:1:1: expected a mapping with 'version', found 'a word'"),
        ("[" * 3000, "matrix.yaml:1:21: not YAML: nested too deeply"),
        ("- " * 3000, "matrix.yaml:1:41: not YAML: nested too deeply"),
        ("- a\n", "matrix.yaml:1:1: expected a mapping with 'version', found a list"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.message == message


def test_a_file_that_is_not_there_is_an_argument_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no such file"):
        matrix_file.load(tmp_path / "matrix.yaml")


def test_expected_failures_that_are_not_there_are_missed_where_they_are_named(
    tmp_path: Path,
) -> None:
    with pytest.raises(ArgumentError, match=r"expected-failures\.yaml: no such file") as caught:
        load(tmp_path, NAMING_FAILURES)
    assert caught.value.hint == (
        f"`expected_failures_file` in {tmp_path / 'matrix.yaml'} names it, from the folder of that "
        "file"
    )


def test_a_problem_names_the_file_from_the_current_folder_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ci").mkdir()
    path = tmp_path / "ci" / "matrix.yaml"
    path.write_text("a word")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for folder, named in (
        (tmp_path, "ci/matrix.yaml"),
        (tmp_path / "ci", "matrix.yaml"),
        (elsewhere, str(path)),
    ):
        monkeypatch.chdir(folder)
        with pytest.raises(ConfigError, match=rf"^{re.escape(named)}:1:1: expected a mapping"):
            matrix_file.load(path)
    (elsewhere / "link.yaml").symlink_to(path)
    monkeypatch.chdir(elsewhere)
    with pytest.raises(ConfigError, match=r"^link\.yaml:1:1: "):
        matrix_file.load(elsewhere / "link.yaml")
    with pytest.raises(ConfigError, match=r"^\.\./ci/matrix\.yaml:1:1: expected a mapping"):
        matrix_file.load(Path("../ci/matrix.yaml"))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "matrix.yaml"
    path.write_bytes(b"version: \xff\n")
    with pytest.raises(ConfigError, match=r"matrix.yaml:1:10: not UTF-8 text"):
        matrix_file.load(path)


@given(st.text(alphabet="abc:-[]{}\"'\n \t#&*!|>%@`0123456789.", max_size=80))
def test_whatever_is_inserted_no_other_error_comes(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "matrix.yaml"
        path.write_text(GOOD.replace("suite: bookworm", f"suite: {text}", 1))
        try:
            matrix_file.load(path, networks=NETWORKS)
        except ConfigError as error:
            assert error.message.startswith(f"{path}:")


FILES = {
    "matrix.yaml": ("matrix.schema.json", matrix_file.schema),
    "expected-failures.yaml": ("expected-failures.schema.json", expected_failures.schema),
}


@pytest.mark.parametrize(("schema", "written"), FILES.values())
def test_the_published_schema_is_what_the_code_says(
    schema: str, written: Callable[[], str]
) -> None:
    assert (SCHEMAS / schema).read_text() == written()


@pytest.mark.parametrize("name", FILES)
def test_the_published_schema_accepts_the_file(name: str) -> None:
    document = YAML(typ="safe").load((ROOT / name).read_text())
    jsonschema.validate(document, json.loads((SCHEMAS / FILES[name][0]).read_text()))


def test_the_published_schema_refuses_what_no_variant_may_lack() -> None:
    document = YAML(typ="safe").load((ROOT / "matrix.yaml").read_text())
    del document["runtimes"]["onnxruntime"]["reads"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json.loads((SCHEMAS / "matrix.schema.json").read_text()))


@pytest.mark.parametrize("name", FILES)
def test_a_file_names_its_schema(name: str) -> None:
    first = (ROOT / name).read_text().splitlines()[0]
    path = f"deepmatrix/schema/{FILES[name][0]}"
    assert first == f"# yaml-language-server: $schema={path}"
    assert (ROOT / path).is_file()


def test_the_matrix_file_says_on_its_first_page_how_to_extend_it(tmp_path: Path) -> None:
    first_page = (ROOT / "matrix.yaml").read_text().split("version: 1", 1)[0]
    examples = re.findall(r"`([\w-]+: \{.*\})`", first_page)
    sections = ("runtimes", "runtimes", "workloads", "presets")
    text = (ROOT / "matrix.yaml").read_text()
    text = text.replace("  conv1d-small: {epochs: 8, rate: 0.1, accuracy: 0.9}\n", "")
    for section, example in zip(sections, examples, strict=True):
        text = text.replace(f"\n{section}:\n", f"\n{section}:\n  {example}\n", 1)
    text = text.replace("\n  mylib: {", "\n  mylib: {adapter: harness.runtimes.onnx.adapter, ", 1)
    path = tmp_path / "matrix.yaml"
    path.write_text(text)
    shutil.copyfile(ROOT / "expected-failures.yaml", tmp_path / "expected-failures.yaml")
    matrix = matrix_file.load(path, networks=networks.NETWORKS)
    assert matrix.runtimes["mylib_fast"].reads == matrix.runtimes["mylib"].reads
    assert matrix.presets["mine"].workloads


#: Lists in lists, each ten times the one before: a thousand million values in 12 lines.
BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("? [a, b]\n: 1\n", "1:3: not YAML: a key must be text, not a list, a mapping or an alias"),
        ("{a: 1}: 1\n", "1:1: not YAML: a key must be text, not a list, a mapping or an alias"),
        ("a: &x {b: 1}\n*x : 2\n", "2:1: not YAML: a key must be text, not a list, a map"),
        (BOMB, "5:25: not YAML: more than 10000 values, with what aliases repeat"),
        ("a: &x [*x]\n", "1:8: not YAML: nothing before it, and not around it, is &x"),
        ("a: [" + "1," * 30_000 + "]\n", "1:19999: not YAML: more than 10000 values"),
        ("".join(f"k{at}: 1\n" for at in range(9_000)), "5000:8: not YAML: more than 10000 val"),
        ("x" * 300_000, "1:1: the file is larger than 256 KiB, the most that is read"),
        ("#\n" * 10_001, "1:1: more than 10000 lines"),
        ("\r" * 10_001, "1:1: more than 10000 lines"),
        ("a: 1\n<<: {b: 1}\n", "2:1: not YAML: the key << is not used here"),
        ("a: {<<: [5, x]}\n", "1:5: not YAML: the key << is not used here"),
        (f"a: 0b{'1' * 100_000}\n", "1:4: not YAML: a whole number beyond"),
        (f"a: 0x{'f' * 100_000}\n", "1:4: not YAML: a whole number beyond"),
        (f"a: 0o{'7' * 9_999}\n", "1:4: not YAML: a whole number beyond"),
        ('a: "\\UFFFFFFFF"\n', "1:"),
        ('a: "\\U00110000"\n', "1:"),
        ("a: !!python/object:os.system x\n", "1:4: not YAML: the tag "),
        ("a: !!set {b}\n", "1:4: not YAML: the tag tag:yaml.org,2002:set is not used here"),
    ],
)
@pytest.mark.parametrize("reader", [matrix_file.load, expected_failures.load, statements.load])
def test_a_document_out_of_bounds_is_refused_before_it_is_built(
    tmp_path: Path, text: str, problem: str, reader: Callable[[Path], object]
) -> None:
    path = tmp_path / "matrix.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        reader(path)
    assert caught.value.message.startswith(f"matrix.yaml:{problem}")
    assert len(caught.value.message) < 400


def test_of_many_problems_the_first_are_listed(tmp_path: Path) -> None:
    unknown = "".join(f"key{number}: {'x' * 100}\n" for number in range(1500))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD + unknown)
    lines = caught.value.message.splitlines()
    assert len(lines) == documents.MOST_PROBLEMS
    assert all("unknown key 'key" in line for line in lines)
    assert caught.value.hint == "there are more problems than these"


def test_a_file_cannot_make_more_cells_than_can_be_planned(tmp_path: Path) -> None:
    base = GOOD[GOOD.index("  debian12:") : GOOD.index("architectures:")]
    bases = "".join(base.replace("debian12:", f"b{number}:") for number in range(1010))
    with pytest.raises(ConfigError, match="make 4044 cells; at most 4000 can be planned"):
        load(tmp_path, GOOD.replace(base, base + bases, 1))


#: Documents as YAML has them: scalars, lists, mappings, anchors and aliases, keys of any kind.
FLOW = st.recursive(
    st.sampled_from(["a", "1", "1e999", "0x1f", "~", "no", ".nan", "2001-01-01", "'x'", "*x", "*y"])
    | st.integers(min_value=10**20).map(str),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(inner, inner), max_size=4).map(
            lambda pairs: f"{{{', '.join(f'? {key} : {value}' for key, value in pairs)}}}"
        )
        | inner.map(lambda text: f"&x {text}")
        | inner.map(lambda text: f"&y {text}")
    ),
    max_leaves=12,
)


@settings(max_examples=30)
@given(FLOW, st.sampled_from(["suite: bookworm", "threads: 1", "batch: 64", '["*-cpu"]', "1, 32"]))
def test_any_document_at_any_place_is_one_clear_error_or_loads(flow: str, place: str) -> None:
    import tempfile

    key = place.partition(": ")[0]
    value = flow if key == place else f"{key}: {flow}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "matrix.yaml"
        path.write_text(GOOD.replace(place, value, 1))
        try:
            matrix_file.load(path, networks=NETWORKS)
        except ConfigError as error:
            assert error.message.startswith(f"{path}:")


def test_of_many_known_words_only_the_first_are_named() -> None:
    known = [f"{number:03}" for number in range(180)]
    assert did_you_mean("zzz", known).endswith("038, 039 and 140 more")
    assert did_you_mean("zzz", known[:2]) == "; known: 000, 001"
