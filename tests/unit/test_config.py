"""A wrong matrix file gives one clear error with its place; a right one loads."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from matrix import config
from matrix.errors import ArgumentError, ConfigError

NETWORKS = ("digits-conv", "digits-lstm")
SCHEMA = Path(config.__file__).parent / "schema" / "matrix.schema.json"

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
    adapter: harness.adapters.torch_adapter
    exports: [onnx]
runtimes:
  onnxruntime:
    family: wheels
    adapter: harness.adapters.onnxruntime_adapter
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
tolerances: {floor: 1.0e-6, factor: 8, producer: 1.0e-4, loss: 1.0e-4, steps: 20}
limits:
  threads: 1
  memory: 4 GiB
  processes: 256
  log: 16 MiB
  file: 4 GiB
  deadline_s: 600
  emulated: 4
"""

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
        "7:5: unknown key 'colour'; known: image, python, suite",
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
        "21:13: 'onxn' is not one of 'onnx', 'torch-export' or 'saved-model'; did you mean 'onnx'?",
        id="an unknown format",
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
    pytest.param("version: 1", "version: 2", "1:10: '2' is not one of 1; known: 1", id="version 2"),
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
        "26:58: 'epochs': must be a valid integer, unable to parse string as an integer, "
        "found 'ten'",
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
        '["*-cpu"]', '"*-cpu"', "29:12: 'cells' must be a list, found '*-cpu'", id="no list"
    ),
    pytest.param(
        "tolerances: {floor: 1.0e-6, factor: 8, producer: 1.0e-4, loss: 1.0e-4, steps: 20}",
        "tolerances: 8",
        "33:13: 'tolerances' must be a mapping, found 8",
        id="no mapping",
    ),
    pytest.param(
        "  default:", "  usual:", "27:1: there must be a preset 'default'", id="no default preset"
    ),
    pytest.param(
        "exports: [onnx]", "exports: []", "16:14: 'exports' must not be empty", id="an empty list"
    ),
    pytest.param(
        'reason: "no GPU"', 'reason: ""', "24:13: 'reason' must not be empty", id="no reason"
    ),
    pytest.param(
        "adapter: harness.adapters.torch_adapter",
        "adapter: harness/torch",
        "15:14: 'harness/torch' is not valid here; "
        "write a dotted module name, like harness.adapters.torch_adapter",
        id="a path for a module",
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
]


def load(tmp_path: Path, text: str) -> config.Matrix:
    path = tmp_path / "matrix.yaml"
    path.write_text(text)
    return config.load(path, networks=NETWORKS)


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
        ("- a\n", "matrix.yaml:1:1: expected a mapping with 'version', found a commentedseq"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.message == message


def test_a_file_that_is_not_there_is_an_argument_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no such file"):
        config.load(tmp_path / "matrix.yaml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "matrix.yaml"
    path.write_bytes(b"version: \xff\n")
    with pytest.raises(ConfigError, match=r"matrix.yaml:1:1: not UTF-8 text"):
        config.load(path)


@given(st.text(alphabet="abc:-[]{}\"'\n \t#&*!|>%@`0123456789.", max_size=80))
def test_whatever_is_inserted_no_other_error_comes(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "matrix.yaml"
        path.write_text(GOOD.replace("suite: bookworm", f"suite: {text}", 1))
        try:
            config.load(path, networks=NETWORKS)
        except ConfigError as error:
            assert error.message.startswith("matrix.yaml:")


def test_the_published_schema_is_what_the_code_says() -> None:
    assert SCHEMA.read_text() == config.schema()


def test_the_published_schema_accepts_the_matrix_file() -> None:
    import json

    root = Path(config.__file__).parent.parent
    document = YAML(typ="safe").load((root / "matrix.yaml").read_text())
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))


def test_the_matrix_file_names_its_schema() -> None:
    root = Path(config.__file__).parent.parent
    first = (root / "matrix.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=matrix/schema/matrix.schema.json"
    assert (root / "matrix/schema/matrix.schema.json").is_file()
