"""Wrong arguments give one clear error and exit code 2; nothing is written."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import onnx
import pytest

from deepmatrix.cli import main
from deepmatrix.cli.maintenance import reference
from deepmatrix.cli.parser import COMMANDS, MAINTENANCE, build_parser
from deepmatrix.cli.resuming import describe_rest
from deepmatrix.config import matrix_file
from deepmatrix.errors import ArgumentError
from deepmatrix.paths import RUNS, SCHEMAS
from deepmatrix.reports import markdown
from deepmatrix.results.merging import merge
from tests import planted
from tests.unit.test_results import whole

VENV = ["--engine", "venv"]
HERE = ["--native", "amd64"]


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: the following arguments are required: COMMAND"),
        (["matirx"], "error: no command 'matirx'; did you mean 'matrix'?"),
        (["plan", "--prest", "smoke"], "error: no option '--prest'; did you mean '--preset'?"),
        (
            ["plan", "--preset", "smoek", *HERE],
            "error: no preset 'smoek'; did you mean 'smoke'?",
        ),
        (
            ["plan", "torhc-*", *HERE],
            "error: 'torhc-*' matches no cell",
        ),
        (
            ["plan", "--exclude", "torch-debian12-amd46-cpu", *HERE],
            "error: 'torch-debian12-amd46-cpu' matches no cell; "
            "did you mean 'torch-debian12-amd64-cpu'?",
        ),
        (
            ["plan", "--tag", "runtme", *HERE],
            "error: no cell has the tag 'runtme'; did you mean 'runtime'?",
        ),
        (["plan", "--exclude", "*", *HERE], "error: the selection leaves no cell"),
        (
            ["plan", "--seed", "-1"],
            "error: argument --seed: '-1' is not a whole number from 0 to 4294967295",
        ),
        (["plan", "--engine", "dokcer"], "error: no engine 'dokcer'; did you mean 'docker'?"),
        (["plan", "--native", "arm46"], "error: no architecture 'arm46'; did you mean 'arm64'?"),
        (["plan", "--file", "nowhere.yaml"], "error: nowhere.yaml: no such file"),
        (
            ["matrix", "onnxruntime-debian12-amd64-cpu", *VENV],
            "error: nothing to do: no selected cell trains, so there is nothing to serve",
        ),
        (["pins", "ort3-*"], "error: 'ort3-*' matches no cell"),
        (["matrix", "--name", "a/b", *VENV], "error: 'a/b' cannot name a run"),
        (["matrix", "--name", "a" * 101, *VENV], f"error: '{'a' * 101}' cannot name a run"),
        (["plan", "--write", "", *HERE], "error: --write: the value is empty"),
        (["plan", "--preset", "", *HERE], "error: --preset: the value is empty"),
        (["plan", "--preset=", *HERE], "error: --preset: the value is empty"),
        (["matrix", "--resume", ""], "error: --resume: the value is empty"),
        (["plan", "", *HERE], "error: an argument is empty"),
        (
            ["plan", "--seed", "9" * 6000],
            f"error: argument --seed: '{'9' * 79}…' is not a whole number from 0 to 4294967295",
        ),
        (["plan", "--seed", "4294967296"], "error: argument --seed: '4294967296' is not a whole"),
        (["plan", "--seed", "١"], "error: argument --seed: '١' is not a whole number"),
        (
            ["matrix", "--resume", "x", "--preset", "full"],
            "error: --resume finishes a run as it was planned",
        ),
        (["matrix", "*-cuda", *VENV], "error: none of the selected cells can run"),
        (["matrix", "--resume", "nothing", *VENV], "error: runs/nothing is not there"),
        (["image"], "error: the following arguments are required: GLOB"),
        (
            ["image", "torch-debian12-arm64-cuda", *VENV],
            "error: torch-debian12-arm64-cuda is excluded: "
            "the CUDA images are built for amd64 only",
        ),
        (["bench", "torch-*"], "error: the following arguments are required: --run"),
        (["bench", "x", "--run", "nowhere"], f"error: {RUNS / 'nowhere'} is not there"),
        (
            ["bench", "x", "--run", "nowhere", "--wave", "both"],
            "error: argument --wave: invalid choice: 'both' (choose from 'produce', 'consume')",
        ),
        (["merge", "nowhere"], "error: runs/nowhere is not there"),
        (["merge"], "error: no run under runs"),
        (["merge", "--known", "x.yaml"], "error: --known is now --expected-failures"),
        (["merge", "--known=x.yaml"], "error: --known is now --expected-failures"),
        *(
            ([name, "--engine", "venv"], "error: this command has no option '--engine', another")
            for name in ("merge", "readme")
        ),
        (
            ["claims", "r", "--engine", "venv"],
            "error: this command has no option '--engine', another one has",
        ),
        *(
            (
                ["plan", meant, *VENV],
                f"error: '{meant}' matches no cell; did you mean 'onnxruntime-*'?",
            )
            for meant in ("onnxruntme-*", "onnxruntime")
        ),
        (["plan", "troch*", *VENV], "error: 'troch*' matches no cell; did you mean 'torch-"),
        (
            ["plan", "onnxruntime-cp-*", *VENV],
            "error: 'onnxruntime-cp-*' matches no cell; did you mean",
        ),
        (["engine", "--stopp"], "error: no option '--stopp'; did you mean '--stop'?"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    takes_runs = arguments and arguments[0] in {"matrix", "plan", "merge"}
    assert main.main([*arguments, *(["--runs", "runs"] if takes_runs else [])]) == 2
    assert said(capsys)[0].startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_an_absent_engine_is_exit_code_3(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    engine = f"docker:unix://{tmp_path}/no.sock"
    assert main.main(["plan", "--engine", engine]) == 3
    assert said(capsys)[0].startswith("error: ")


def test_an_unexpected_error_leaves_a_log_that_can_be_pasted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(matrix_file, "load", broken)
    monkeypatch.setattr(main.tempfile, "gettempdir", lambda: str(tmp_path))
    assert main.main(["plan"]) == 4
    (log,) = tmp_path.glob("deepmatrix-crash-*.log")
    assert "ZeroDivisionError: on purpose" in log.read_text()
    assert "please report it" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_exit_code_3(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert main.main(["plan", "--write", "x", "--runs", str(tmp_path / "file"), *HERE]) == 3
    assert said(capsys)[0] == f"error: {tmp_path}/file: File exists"


def test_a_merge_with_a_problem_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = whole(tmp_path)
    assert main.main(["merge", str(run.path)]) == 0
    next(iter((run.path / "records").rglob("r1.json"))).unlink()
    assert main.main(["merge", str(run.path)]) == 1
    assert "1 problem, listed above" in capsys.readouterr().err


def test_a_plan_for_machines_is_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert main.main(["plan", "--json", "--native", "amd64", "--native", "arm64"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads((SCHEMAS / "plan.schema.json").read_text()))
    assert {cell["emulated"] for cell in document["cells"]} == {False}


def test_the_readme_takes_the_tables_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- report -->\nearlier tables\n<!-- /report -->\nafter\n")
    merged = merge([whole(tmp_path)])
    markdown.insert(path, lambda titles: markdown.document(merged, titles))
    text = path.read_text()
    assert text.startswith("before\n<!-- report -->\n\n### Matrix `one`")
    assert "### Portability: digits-conv" in text
    assert text.endswith("<!-- /report -->\nafter\n")
    assert "earlier tables" not in text


def test_the_readme_takes_the_tables_that_its_mark_names(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    mark = "<!-- report: Training; Interfaces -->"
    path.write_text(f"{mark}\nold\n<!-- /report -->\n")
    merged = merge([whole(tmp_path)])
    markdown.insert(path, lambda titles: markdown.document(merged, titles))
    lines = path.read_text().splitlines()
    assert lines[0] == mark
    titles = [line for line in lines if line.startswith("### ")]
    assert titles[:3] == ["### Matrix `one`", "### Training", "### Interfaces"]
    assert "### Cells" not in titles


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- report: Trainin -->\n<!-- /report -->", "no table 'Trainin'; did you mean 'Train"),
        ("<!-- report -->", "must have one place for a report"),
        ("<!-- /report --><!-- report -->", "must have one place for a report"),
        ("<!-- report --><!-- report --><!-- /report -->", "must have one place for a report"),
    ],
)
def test_a_page_without_one_place_for_a_report_is_unchanged(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    merged = merge([whole(tmp_path)])
    with pytest.raises(ArgumentError, match=message):
        markdown.insert(path, lambda titles: markdown.document(merged, titles))
    assert path.read_text() == text


def test_a_run_is_resumed_on_the_engine_that_it_began_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = whole(tmp_path)
    run.save_engine({"engine": "docker"})
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    assert main.main(["matrix", "--resume", "one", "--runs", str(tmp_path)]) == 3
    assert said(capsys)[0].startswith("error: one began on the engine docker: ")


def test_a_run_is_named_by_its_name_or_by_its_path(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    whole(runs)
    (tmp_path / "one").mkdir()  # no run, of the same name
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    for name in ("one", "runs/one", str(runs / "one")):
        for command in (["matrix", "--resume", name], ["show", name]):
            main.main([*command, "--runs", "runs"])
            assert "one is not" not in capsys.readouterr().err, (command, name)


def test_a_resumed_run_says_how_much_is_left(tmp_path: Path) -> None:
    run = whole(tmp_path)
    assert describe_rest(run) == "one: every job has its record, nothing is left to run"
    run.record_path(next(run.manifest.plan.jobs("consume"))).unlink()
    assert describe_rest(run).startswith("one: 1 of ")


def test_reference_outputs_need_their_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m.onnx"
    onnx.save(planted.model(), model)
    assert main.main(["verify", str(model), "--reference", "y.npz", "--runs", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "--reference y.npz needs --inputs" in message
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_the_reference_page_is_what_the_parser_says() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.render()
    assert main.main(["reference", "--check"]) == 0


def test_every_option_has_a_description() -> None:
    parser = build_parser()
    assert list(parser.commands()) == [*COMMANDS, *MAINTENANCE]
    for command in parser.commands().values():
        assert command.description
        assert all(action.help for action in command._actions)


def test_a_stale_reference_page_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "PAGE", tmp_path / "reference.md")
    assert main.main(["reference", "--check"]) == 1
    assert said(capsys)[0] == "error: reference.md is stale"
    assert main.main(["reference"]) == 0
    assert main.main(["reference", "--check"]) == 0


def test_an_option_of_another_command_is_not_its_own_suggestion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(["merge", "--resume"]) == 2
    assert "this command has no option '--resume', another one has" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "command"),
    [(["verify", "--max-p99", "5"], "verify"), (["verify", "m.onnx", "--nativ"], "verify")],
)
def test_a_hint_names_the_help_of_the_command_that_was_typed(
    arguments: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == 2
    assert f"hint: see `nox -s {command} -- --help`" in capsys.readouterr().err


def test_a_run_is_resumed_by_the_command_that_made_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    whole(tmp_path)
    assert main.main(["verify", "--resume", "one", "--runs", str(tmp_path)]) == 2
    assert said(capsys) == [
        "error: one is a run of matrix, not of verify",
        "hint: finish it with: nox -s matrix -- --resume one",
    ]


def test_the_newest_run_to_resume_is_one_of_the_same_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    whole(tmp_path)
    assert main.main(["verify", "--resume", "--runs", str(tmp_path)]) == 2
    assert said(capsys) == [
        f"error: no run of verify under {tmp_path}",
        "hint: make one with `nox -s verify`",
    ]


def test_a_verification_needs_a_model_or_a_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main.main(["verify", "--runs", str(tmp_path)]) == 2
    assert said(capsys)[0] == "error: no model is named"
    assert main.main(["verify", "m.onnx", "--resume", "--runs", str(tmp_path)]) == 2
    assert said(capsys)[0] == "error: --resume finishes a run as it was planned"


def test_files_of_arrays_are_read_before_an_engine_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, arrays = tmp_path / "m.onnx", tmp_path / "x.npz"
    onnx.save(planted.model(), model)
    arrays.write_bytes(b"no zip")
    engine = ["--engine", f"docker:unix://{tmp_path}/no.sock"]
    assert main.main(["verify", str(model), "--inputs", str(arrays), *engine]) == 2
    assert said(capsys)[0].startswith(f"error: --inputs {arrays}: ")


#: A value out of bounds for each option whose values are read.
HUGE = {
    "--export": "9" * 5000,
    "--link": "9" * 5000,
    "--most": "9" * 5000,
    "--port": "9" * 5000,
    "--push": f"localhost/{'9' * 5000}",
    "--rounds": "9" * 5000,
    "--seed": "9" * 400,
    "--repeats": "9" * 5000,
    "--threads": "9" * 5000,
    "--shape": f"x={'9' * 5000}",
    "--range": f"x=0:{'9' * 5000}",
    "--explain-for": f"{'9' * 5000}h",
    "--max-p99": f"{'9' * 5000}s",
    "--max-error": f"{'9' * 5000}",
    "--max-image": f"{'9' * 5000}GB",
    "--scheduler-timeout": f"{'9' * 5000}h",
}


@pytest.mark.parametrize("option", HUGE)
def test_a_value_out_of_bounds_is_one_short_error(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = {"--rounds": "compare", "--export": "merge", "--link": "review", "--most": "jobs"}
    commands |= {"--threads": "matrix", "--scheduler-timeout": "worker"}
    command = {**commands, "--push": "image"}.get(option, "verify")
    arguments = ["fleet", "scheduler", "."] if option == "--port" else [command, "m.onnx"]
    assert main.main([*arguments, option, HUGE[option]]) == 2
    error, _ = said(capsys)
    assert error.startswith(f"error: argument {option}: '")
    assert len(error) < 250


def test_every_option_whose_values_are_read_has_bounds() -> None:
    plain = {None, Path, str}
    for command in build_parser().commands().values():
        for action in command._actions:
            if action.type not in plain:
                assert action.option_strings[0] in HUGE, action


@pytest.mark.parametrize("shape", ["x=65536x65536", "x=" + "x".join(["1"] * 40)])
def test_a_sample_input_fits_a_machine(shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["verify", "m.onnx", "--shape", shape]) == 2
    assert said(capsys)[0].startswith(f"error: argument --shape: '{shape[:60]}")
