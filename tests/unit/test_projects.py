"""``deepmatrix.yaml``: what it may say, what is said of a wrong one, and its verifications."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import onnx
import pytest

from deepmatrix.cli import main
from deepmatrix.cli.own_models import projects
from deepmatrix.errors import ArgumentError, CellFailed, ConfigError, EngineError, Interrupted
from deepmatrix.models import files, project
from deepmatrix.paths import RUNS
from deepmatrix.planning.selection import Selection, select_cells
from deepmatrix.store import runs
from tests import planted
from tests.unit.examples import MATRIX

CELL = "onnx-debian12-amd64-cpu"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(planted.model(), tmp_path / "net.onnx")
    (tmp_path / "x.npz").write_bytes(b"")
    return tmp_path


def write(text: str) -> Path:
    path = Path("deepmatrix.yaml").absolute()
    path.write_text(text, encoding="utf-8")
    return path


def entry(*keys: str) -> str:
    return "".join(["version: 1\nmodels:\n- model: net.onnx\n", *(f"  {key}\n" for key in keys)])


WRONG = {
    "": "1:1: expected a mapping",
    "version: 1": 'missing key \'models\'; write models: [{"model": "model.onnx"}]',
    "version: 1\nmodels: []": (
        '2:9: \'models\' must not be empty; write models: [{"model": "model.onnx"}]'
    ),
    "version: 2\nmodels:\n- model: net.onnx": (
        "1:10: 'version': must be less than or equal to 1, found 2; write version: 1"
    ),
    "version: 1\nmodels:\n- model: nett.onnx": (
        "3:10: nett.onnx is not there; did you mean 'net.onnx'?"
    ),
    "version: 1\nmodels:\n- model: '*.onnx'": (
        "3:10: *.onnx is not there; no globs are taken here: name each file"
    ),
    entry("inputs: [./xx.npz]"): "4:12: ./xx.npz is not there; did you mean 'x.npz'?",
    "version: 1\nmodels: net.onnx": (
        "2:9: 'models' must be a list, found 'net.onnx'; write [\"net.onnx\"]"
    ),
    "version: 1\nmodels:\n- net.onnx": (
        "3:3: item 1 of 'models' must be a mapping, found 'net.onnx'; write model: \"net.onnx\""
    ),
    "version: 1\nmodel: net.onnx": "2:1: unknown key 'model'; did you mean 'models'?",
    entry("input: x.npz"): "4:3: unknown key 'input'; did you mean 'inputs'?",
    "version: 1\nmodels:\n- model: other.onnx": "3:10: other.onnx is not there; paths start at",
    "version: 1\nonly: ['onnxrumtime-*']\nmodels:\n- model: net.onnx": "2:8: 'onnxrumtime-*' match",
    "version: 1\nnative: yes\nmodels:\n- model: net.onnx": (
        "2:9: 'native' is the text 'yes', which is true in old YAML; write true"
    ),
    "version: 1\nnative: Off\nmodels:\n- model: net.onnx": "in old YAML; write false",
    "version: 1\nnative: 1\nmodels:\n- model: net.onnx": (
        "2:9: 'native' must be true or false, found 1"
    ),
    "version: 1\nimages: {registry: r.io}\nmodels:\n- model: net.onnx": (
        "2:9: image-digests.json is not there; `image --push` writes it"
    ),
    "version: 1\nimages: {registry: r.io, digests: .}\nmodels:\n- model: net.onnx": (
        "2:35: . is not there; `image --push` writes it"
    ),
    "version: 1\nimages: {registry: r.io, digests: d.json}\nmodels:\n- model: net.onnx": (
        "2:35: d.json is not there; `image --push` writes it"
    ),
    "version: 1\nimages: {registry: 'r.io:65536'}\nmodels:\n- model: net.onnx": (
        "2:20: 'r.io:65536' is not valid here; write HOST.DOMAIN, HOST:PORT (1 to 65535)"
    ),
    entry("inputs: x.npz"): "4:11: 'inputs' must be a list, found 'x.npz'; write [\"x.npz\"]",
    entry("inputs: [x.npz, 3]"): "4:19: item 2 of 'inputs' is the number 3; quote it",
    entry(f"reference: {'y' * 5000}.npz", "inputs: [x.npz]"): f"4:14: {'y' * 80}… is not there",
    f"version: 1\nmodels:\n- model: {'y' * 5000}.onnx": f"3:10: {'y' * 80}… is not there",
    f"version: 1\nimages: {{registry: r.io, digests: {'y' * 300}}}\nmodels:\n- model: net.onnx": (
        f"2:35: {'y' * 80}… is not there"
    ),
    entry("inputs: [y.npz]"): "4:12: y.npz is not there; name a file, a folder or a function",
    entry("inputs: [x.npz, x.npz]"): "4:19: 'x.npz' is listed twice",
    entry("reference: y.npz", "inputs: [x.npz]"): "4:14: y.npz is not there",
    entry("reference: x.npz"): "4:3: 'reference' needs the 'inputs' that belong to it",
    entry("original: float.onnx"): "4:13: float.onnx is not there",
    entry("shapes: [x=1x]"): "4:12: 'x=1x' is not a valid shape; write it like x=1x3x224x224",
    entry("shapes: [n=4]", "inputs: [x.npz]"): "4:3: 'shapes' is for sample inputs",
    entry("ranges: [x=9:0]"): "4:12: 'x=9:0' is not a valid range",
    entry(
        "repeats: 1"
    ): "4:12: 'repeats': must be greater than or equal to 2, found 1; write repeats: 100",
    entry("repeats: many"): "must be a whole number, found 'many'; write repeats: 100",
    entry("max_p99: 5"): "4:12: 'max_p99' is the number 5; quote it",
    entry("max_p99: 5 parsecs"): "4:12: '5 parsecs' is not a budget; write it like 5s",
    entry(
        "max_error: -1"
    ): "4:14: 'max_error': must be greater than 0, found -1; write max_error: 1e-05",
    entry("max_image: big"): "4:14: 'big' is not a budget",
    entry("exclude: ['xx']"): "4:13: 'xx' matches no cell",
    entry("tolerances: [{error: 0.1}]"): (
        "4:16: missing key 'reason'; write reason: \"bfloat16 is fine here\""
    ),
    entry("tolerances: [{error: 0, reason: a}]"): (
        "4:24: 'error': must be greater than 0, found 0; write error: 0.01"
    ),
    entry("tolerances: [{error: 1, reason: a, cells: xx}]"): "'xx' matches no cell",
    entry("model: net.onnx"): "4:3: duplicate key 'model'",
    entry() + "- {model: ./net.onnx, repeats: 5}": "4:11: ./net.onnx is listed twice",
    entry() + entry().partition("models:\n")[2]: "a mapping with model: 'net.onnx' is listed twice",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_gets_one_clear_error_with_its_place(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        projects.load(write(text), MATRIX)
    lines = caught.value.message.splitlines()
    assert all(line.startswith("deepmatrix.yaml:") for line in lines)
    assert WRONG[text] in lines[0]
    assert len(lines) == 1


@pytest.mark.parametrize("glob", ["*.onnx", "*-amd64-cpu", "*", "*onnx*"])
@pytest.mark.parametrize("line", ["only: [{}]", "only:\n  - {}", "model: {}"])
def test_a_glob_without_quotes_is_shown_with_them(line: str, glob: str) -> None:
    with pytest.raises(ConfigError, match=r"deepmatrix.yaml:\d+:\d+: not YAML") as caught:
        projects.load(write(f"version: 1\n{line.format(glob)}\n"), MATRIX)
    assert caught.value.hint == f'quote what begins with *: "{glob}"'


def test_a_tab_and_a_byte_that_is_not_utf_8_have_their_place_and_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"deepmatrix.yaml:3:1: not YAML") as caught:
        projects.load(write("version: 1\nmodels:\n\t- model: net.onnx\n"), MATRIX)
    assert caught.value.hint == "indent with spaces instead of tabs"
    path = write("")
    path.write_bytes("version: 1\n# é, ".encode() + "é".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"deepmatrix.yaml:2:6: not UTF-8 text"):
        projects.load(path, MATRIX)


def test_other_broken_yaml_has_no_hint_about_globs() -> None:
    with pytest.raises(ConfigError) as caught:
        projects.load(write("version: 1\nonly: ['*.onnx'\nmodels: [a]\n"), MATRIX)
    assert not caught.value.hint


def uncommented(text: str, without: tuple[str, ...]) -> str:
    """Return a file with its examples in force, but for some keys."""
    lines = []
    for line in text.splitlines():
        bare = line.lstrip().removeprefix("# ")
        is_example = (
            "# " in line and re.match(r"(- \{)?[a-z_0-9]+: ?\S*", bare.lstrip()) is not None
        )
        if not is_example:
            lines.append(line)
        elif not bare.startswith(without):
            lines.append(line.replace("# ", "", 1))
    return "\n".join(lines)


@pytest.mark.parametrize("without", [("shapes", "ranges"), ("inputs", "reference")])
def test_the_file_that_init_writes_is_read_with_every_example_in_force(
    folder: Path, without: tuple[str, ...]
) -> None:
    (folder / "nested").mkdir()
    (folder / "nested" / "deep.onnx").write_bytes((folder / "net.onnx").read_bytes())
    (folder / "loop").symlink_to(folder)  # what is behind it is there already
    assert main.main(["init"]) == 0
    assert len(projects.load(project.FILE.absolute(), MATRIX).models) == 2
    for name in ("inputs.npz", "outputs.npz", "float32.onnx", "image-digests.json"):
        (folder / name).write_bytes(b"")
    text = uncommented(project.FILE.read_text(encoding="utf-8"), (*without, 'inputs: ["my_'))
    document = projects.load(write(text), MATRIX)
    given = {key for key, value in document.models[0].model_dump().items() if value}
    assert given >= {"max_p99", "max_error", "max_image", "repeats", "original", "tolerances"}
    assert document.native
    assert not given & set(without)
    every = {cell.id for cell in select_cells(MATRIX, Selection())}
    narrowed = {cell.id for cell in select_cells(MATRIX, Selection(include=document.only))}
    assert narrowed < every, "the example serves no cell that would not serve without it"


def test_init_keeps_a_file_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("mine")
    assert main.main(["init"]) == ArgumentError.exit_code
    assert path.read_text(encoding="utf-8") == "mine"
    assert "is there already" in capsys.readouterr().err


#: Names that YAML reads back only where they are escaped.
ODD_NAMES = (
    "é \u202egnp",
    "next\x85line",
    "\u2028",
    "\x9b31m",
    "\N{GRINNING FACE}\ufeff",
    "#'\"\\: *",
    "-n",
)


def test_init_lists_odd_names_so_that_they_are_read_back_and_leaves_out_what_no_line_holds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left_out = [b"new\nline.onnx", b"\x1b[31mred.onnx", b"bad\xff.onnx"]
    for name in (*left_out, *(f"{name}.onnx".encode() for name in ODD_NAMES)):
        (folder / os.fsdecode(name)).write_bytes((folder / "net.onnx").read_bytes())
    assert main.main(["init"]) == 0
    shown = capsys.readouterr().out
    listed = [entry.model for entry in projects.load(Path("deepmatrix.yaml"), MATRIX).models]
    assert listed == sorted(["net.onnx", *(f"{name}.onnx" for name in ODD_NAMES)])
    assert shown.count("left out, as the file cannot name it; rename it") == len(left_out)
    Path("deepmatrix.yaml").unlink()
    for path in folder.iterdir():
        if os.fsencode(path.name) not in left_out:
            path.unlink()
    assert main.main(["init"]) == ArgumentError.exit_code
    assert not Path("deepmatrix.yaml").exists()
    assert "error: the file can name none of the 3 models here\n" in capsys.readouterr().err


@pytest.mark.parametrize("named", [("net.onnx", "./net.onnx", "linked.onnx"), ()])
def test_init_lists_a_model_once_by_whatever_names_it_is_found(
    folder: Path, named: tuple[str, ...]
) -> None:
    (folder / "linked.onnx").symlink_to("net.onnx")
    assert main.main(["init", *named]) == 0
    (listed,) = projects.load(project.FILE.absolute(), MATRIX).models
    assert (folder / listed.model).resolve() == (folder / "net.onnx").resolve()


def test_init_says_how_deep_it_looked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = folder / "a" / "b" / "c" / "d"
    deep.mkdir(parents=True)
    (folder / "net.onnx").rename(deep / "net.onnx")
    assert main.main(["init"]) == ArgumentError.exit_code
    said = "error: there is no model in this folder and up to 2 folders below it\n"
    assert said in capsys.readouterr().err


def test_init_says_that_it_does_not_list_all_models(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = "there are more models than these 20: add them to deepmatrix.yaml"
    for number in range(19):
        (folder / f"{number}.onnx").write_bytes((folder / "net.onnx").read_bytes())
    assert main.main(["init"]) == 0
    assert more not in capsys.readouterr().out
    Path("deepmatrix.yaml").unlink()
    (folder / "19.onnx").write_bytes((folder / "net.onnx").read_bytes())
    assert main.main(["init"]) == 0
    assert more in capsys.readouterr().out


def test_an_entry_becomes_the_options_of_its_verification() -> None:
    path = write(
        entry(
            "shapes: [n=4]",
            "only: ['onnx-*']",
            "max_p99: 5ms",
            "tolerances: [{error: 0.5, outputs: y, reason: a test}]",
        )
    )
    given = main.parse(["verify", "--native", "--only", "openvino-*"])
    document = projects.load(path, MATRIX)
    (_, options), *_ = projects.options_by_entry(given, document, path.parent)
    assert options.models == [path.parent / "net.onnx"]
    assert options.shape == [("n", (4,))]
    assert options.only == ["openvino-*"], "cells that are given replace those of the file"
    assert options.native
    assert options.max_p99 == 5e-3
    overridden = MATRIX.overridden(options.overrides)
    assert overridden.tolerances.overrides[0].error == 0.5


def test_models_that_are_named_choose_among_those_of_the_file(folder: Path) -> None:
    (folder / "other.onnx").write_bytes((folder / "net.onnx").read_bytes())
    path = write("version: 1\nmodels:\n- model: net.onnx\n- {model: other.onnx, repeats: 5}\n")
    document = projects.load(path, MATRIX)
    given = main.parse(["verify", "other.onnx", "--config", str(path)])
    ((chosen, options),) = projects.options_by_entry(given, document, path.parent)
    assert (chosen.model, options.repeats) == ("other.onnx", 5)
    unknown = main.parse(["verify", "othr.onnx", "--config", str(path)])
    with pytest.raises(ArgumentError, match=r"no model othr.onnx; did you mean 'other.onnx'\?"):
        list(projects.options_by_entry(unknown, document, path.parent))


def test_models_of_one_file_name_have_names_of_their_own_however_few_are_verified(
    folder: Path,
) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "net.onnx").write_bytes((folder / "net.onnx").read_bytes())
    path = write("version: 1\nmodels:\n- model: a/net.onnx\n- model: b/net.onnx\n")
    document = projects.load(path, MATRIX)
    for words in ([], ["b/net.onnx"]):
        given = main.parse(["verify", *words, "--config", str(path)])
        *_, (_, options) = projects.options_by_entry(given, document, path.parent)
        (model,) = files.recognise(options.models, options.beside)
        assert model.name == "b-net"


def test_a_model_that_is_named_says_that_it_takes_nothing_from_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = ["verify", "missing.onnx"]
    assert main.main(named) == ArgumentError.exit_code
    assert "deepmatrix.yaml" not in capsys.readouterr().out
    write(entry())
    assert main.main(named) == ArgumentError.exit_code
    assert "--config deepmatrix.yaml" in capsys.readouterr().out


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)
def test_a_file_that_is_no_model_leaves_a_report_and_the_others_are_verified(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pointer.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    write("version: 1\nmodels:\n- model: pointer.onnx\n- model: net.onnx\n")
    options = ["--engine", "here", "--only", CELL, "--runs", str(folder / "runs")]
    assert main.main(["verify", *options]) == 1
    assert "hint: get the file" in capsys.readouterr().out
    reports = [json.loads(path.read_text()) for path in folder.glob("runs/*/results.json")]
    (empty,) = [report for report in reports if not report["models"]]
    (line,) = empty["problems"]
    assert line.startswith("the model is not served: pointer.onnx is a Git LFS")
    assert line.count("pointer.onnx") == 1
    assert len(reports) == 2
    for words in (["merge", empty["run"]], ["review", empty["run"]]):
        assert main.main([*words, "--runs", str(folder / "runs")]) == 1
        assert line in " ".join(capsys.readouterr().out.split())
    (folder / "net.onnx").unlink()
    (folder / "pointer.onnx").rename("net.onnx")
    write("version: 1\nmodels:\n- model: net.onnx\n")
    assert main.main(["verify", *options]) == ArgumentError.exit_code
    left = [json.loads(path.read_text()) for path in folder.glob("runs/*/results.json")]
    (alone,) = [report for report in left if report["run"] not in {old["run"] for old in reports}]
    assert alone["problems"] == [line.replace("pointer.onnx", "net.onnx")], "nothing is served"
    path = folder / "runs" / alone["run"] / "plan.json"
    path.touch()
    newest = runs.latest(folder / "runs", "verify")
    assert newest.manifest.plan.cells, "a run that served nothing is none to finish"


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)
def test_a_file_that_is_no_model_may_have_any_name(folder: Path) -> None:
    (folder / "a\udcff.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    options = ["--engine", "here", "--only", CELL, "--runs", str(folder / "runs"), "--name", "r"]
    assert main.main(["verify", "a\udcff.onnx", "net.onnx", *options]) == 1
    report = json.loads((folder / "runs" / "r" / "results.json").read_text())
    (line,) = [line for line in report["problems"] if "Git LFS" in line]
    assert line.startswith("the model is not served: a\\udcff.onnx is a Git LFS pointer")


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)
def test_the_folder_of_the_file_names_no_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "net.onnx").rename(folder / "model.onnx")
    path = write("version: 1\nmodels:\n- model: model.onnx\n").resolve()
    monkeypatch.chdir(folder.parent)
    options = ["--engine", "here", "--only", CELL, "--runs", str(folder / "runs")]
    assert main.main(["verify", "--config", str(path), *options]) == 0
    (results,) = folder.glob("runs/*/results.json")
    assert [model["name"] for model in json.loads(results.read_text())["models"]] == ["model"]


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)
def test_every_model_is_verified_also_after_one_that_fails(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.onnx").write_bytes((folder / "net.onnx").read_bytes()[:200])
    write("version: 1\nmodels:\n- model: broken.onnx\n- model: net.onnx\n")
    options = ["--engine", "here", "--only", CELL, "--runs", str(folder / "runs")]
    assert main.main(["verify", *options]) == 1
    shown = capsys.readouterr()
    assert "✗ deepmatrix.yaml:3:10: broken.onnx" in shown.out
    assert "net.onnx: served by nothing but the evaluator" in shown.out
    assert "deepmatrix.yaml: 1 of 2 models not as expected" in shown.err
    reports = sorted(folder.glob("runs/*/results.json"))
    assert len(reports) == 2, "what is refused leaves a report, too"
    write("version: 1\nmodels:\n- model: net.onnx\n")
    assert main.main(["verify", *options]) == 0
    assert main.main(["verify", "--shape", "x=1", *options]) == ArgumentError.exit_code


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)
@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("shapes: [nosuch=4x5]", "4:11: net.onnx: shapes nosuch=4x5: it has no such input"),
        ("shapes: [x=4x5x6]", "4:11: net.onnx: shapes x=4x5x6: its shape is"),
        ("ranges: [nosuch=0:1]", "4:11: net.onnx: ranges nosuch=0:1: it has no such input"),
        ("inputs: ['nosuch:make']", "4:11: inputs nosuch:make: ModuleNotFoundError"),
        (
            "tolerances: [{error: 0.5, reason: a test}, {error: 1, outputs: z, reason: b}]",
            "4:66: net.onnx: a tolerance is for 'z'",
        ),
    ],
)
def test_what_a_model_has_no_place_for_is_told_by_the_place_and_the_key_in_the_file(
    folder: Path, capsys: pytest.CaptureFixture[str], key: str, said: str
) -> None:
    options = ["--engine", "here", "--only", CELL, "--runs", str(folder / "runs")]
    write(entry(key))
    assert main.main(["verify", *options]) == ArgumentError.exit_code
    _, cross, shown = capsys.readouterr().out.rpartition("✗ ")
    assert cross
    assert " ".join(shown.split()).startswith(f"deepmatrix.yaml:{said}")
    assert "--shape" not in shown
    assert "--inputs" not in shown


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)
def test_a_tolerance_of_an_output_that_no_model_has_is_refused_and_leaves_a_report_only(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--engine", "here", "--only", CELL, "--runs", str(folder / "runs")]
    tolerance = "tolerances: [{{error: 0.5, outputs: {}, reason: a test}}]"
    write(entry(tolerance.format("yy*")))
    assert main.main(["verify", *options]) == ArgumentError.exit_code
    shown = capsys.readouterr().out.replace("\n", " ")
    assert "a tolerance is for 'yy*', and the model has no such output; known: add5, y" in shown
    (path,) = folder.glob("runs/*/results.json")
    report = json.loads(path.read_text())
    assert "the model is not served: net.onnx: a tolerance is for 'yy*'" in report["problems"][0]
    assert not report["models"]
    write(entry(tolerance.format("'y*'")))
    assert main.main(["verify", *options]) == 0


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)
def test_what_ends_a_project_early_names_the_models_that_are_left(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = "import os, signal\n\n\ndef make():\n    os.kill(os.getppid(), signal.SIGINT)\n"
    (folder / "interrupting.py").write_text(module)
    for name in ("b c", "d"):
        (folder / f"{name}.onnx").write_bytes((folder / "net.onnx").read_bytes())
    write(entry() + "- {model: b c.onnx, inputs: ['interrupting:make']}\n- model: d.onnx\n")
    options = ["--only", CELL, "--runs", str(folder / "runs")]
    given = " ".join(options)
    command = "deepmatrix verify --config deepmatrix.yaml"
    interrupted = ["verify", "--engine=here", "--native", *options]
    assert main.main(interrupted) == Interrupted.exit_code
    shown = " ".join(capsys.readouterr().err.split())
    rest = f"--engine=here --native {given} 'b c.onnx' d.onnx"
    assert f"2 models are left: {command} {rest}" in shown
    named = [*interrupted, "--config", "deepmatrix.yaml", "b c.onnx", "d.onnx"]
    assert main.main(named) == Interrupted.exit_code, "the words of the models are not repeated"
    shown = " ".join(capsys.readouterr().err.split())
    rest = f"--engine=here --native {given} --config deepmatrix.yaml 'b c.onnx' d.onnx"
    assert f"left: deepmatrix verify {rest}" in shown
    code = main.main(["verify", "--engine", "docker:unix:///no/socket", *options])
    assert code == EngineError.exit_code
    shown = " ".join(capsys.readouterr().err.split())
    rest = f"--engine docker:unix:///no/socket {given} net.onnx 'b c.onnx' d.onnx"
    assert f"3 models are left: {command} {rest}" in shown


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)
def test_a_project_that_ends_early_is_reviewed_as_such_with_what_was_refused_before(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = "import os, signal\n\n\ndef make():\n    os.kill(os.getppid(), signal.SIGINT)\n"
    (folder / "interrupting.py").write_text(module)
    (folder / "pointer.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "big.onnx").write_bytes((folder / "net.onnx").read_bytes())
    write(entry() + "- model: pointer.onnx\n- {model: big.onnx, inputs: ['interrupting:make']}\n")
    options = ["--engine", "here", "--only", CELL, "--runs", str(folder / "runs")]
    assert main.main(["verify", *options]) == Interrupted.exit_code
    capsys.readouterr()
    left = [str(path) for path in (folder / "runs").glob("*/")]
    assert main.main(["review", *left]) == 1
    shown = capsys.readouterr().out
    assert "the model is not served: pointer.onnx is a Git LFS pointer" in shown
    assert "the model is not served: big.onnx: the verification ended before it" in shown


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)
def test_a_run_that_serves_nothing_has_the_name_that_the_user_gives(folder: Path) -> None:
    options = ["--engine", "here", "--only", CELL, "--runs", str(folder / "runs")]
    words = ["verify", "missing.onnx", "--name", "fresh", *options]
    assert main.main(words) == ArgumentError.exit_code
    assert [path.name for path in (folder / "runs").iterdir()] == ["fresh"]


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)
@pytest.mark.parametrize("named", [True, False])
def test_a_run_that_served_nothing_says_so_again_where_it_is_to_be_finished_or_reused(
    folder: Path, capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    options = ["--engine", "here", "--only", CELL, "--runs", str(folder / "runs")]
    assert main.main(["verify", "missing.onnx", *options]) == ArgumentError.exit_code
    (path,) = (folder / "runs").iterdir()
    names = [path.name] if named else []
    capsys.readouterr()
    runs_only = ["--engine", "here", "--runs", str(folder / "runs")]
    for words in (["--resume", *names, *runs_only], ["net.onnx", *options, "--reuse", *names]):
        assert main.main(["verify", *words]) == ArgumentError.exit_code
        shown = " ".join(capsys.readouterr().err.split())
        assert f"{path.name} served nothing: missing.onnx is not there" in shown
        assert f"nothing to {'reuse' if '--reuse' in words else 'finish'}" in shown


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)
@pytest.mark.parametrize(
    ("words", "reasons"),
    [
        (["--same", "net.onnx", "lite.tflite"], ["lite.tflite: no selected cell that can"]),
        (["lite.tflite", "--original", "net.onnx"], ["lite.tflite: no selected cell that can"]),
        (["net.onnx", "lite.tflite", "--only", "nosuch*"], ["net.onnx: ", "lite.tflite: "]),
    ],
)
def test_what_serves_no_model_leaves_a_report_that_names_their_paths(
    folder: Path, words: list[str], reasons: list[str]
) -> None:
    (folder / "lite.tflite").write_bytes(b"\0\0\0\0TFL3")
    only = [] if "--only" in words else ["--only", CELL]
    options = [*only, "--engine", "here", "--runs", str(folder / "runs")]
    assert main.main(["verify", *words, *options]) == ArgumentError.exit_code
    (path,) = folder.glob("runs/*/results.json")
    problems = json.loads(path.read_text())["problems"]
    for problem, reason in zip(problems, reasons, strict=True):
        assert problem.startswith(f"the model is not served: {reason}")


def test_jobs_leave_a_report_only_where_a_folder_is_named(folder: Path) -> None:
    words = ["jobs", "net.onnx", "--native", "amd64", "--only", "nosuch*"]

    def left_in_all_runs() -> list[Path]:  # where other tests leave theirs meanwhile
        return [path for path in RUNS.glob("*/results.json") if "nosuch*" in path.read_text()]

    before = left_in_all_runs()
    assert main.main(words) == ArgumentError.exit_code
    assert left_in_all_runs() == before
    assert main.main([*words, "--runs", "runs"]) == ArgumentError.exit_code
    (path,) = folder.glob("runs/*/results.json")
    (problem,) = json.loads(path.read_text())["problems"]
    assert problem.startswith("the model is not served: net.onnx: 'nosuch*' matches no cell")


def test_a_model_that_fails_beside_a_wrong_entry_is_no_wrong_argument(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "slow.onnx").write_bytes((folder / "net.onnx").read_bytes())
    wrong = entry("tolerances: [{error: 0.5, outputs: none, reason: a test}]")
    write(f"{wrong}- model: slow.onnx\n  max_p99: 0.00001ms\n")
    cells = ["--only", CELL, "--only", "onnxruntime-debian12-amd64-cpu"]
    options = ["--engine", "here", *cells, "--runs", str(folder / "runs")]
    assert main.main(["verify", *options]) == CellFailed.exit_code
    assert "2 of 2 models not as expected" in capsys.readouterr().err
