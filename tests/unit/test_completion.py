"""The script that completes commands, in a real shell."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deepmatrix.cli.parser import build_parser, parse
from deepmatrix.errors import ArgumentError

BASH = shutil.which("bash")


def complete(folder: Path, script: str, *words: str) -> list[str]:
    """Return what bash offers for the last of some words."""
    (folder / "completion.sh").write_text(script)
    quoted = " ".join(f"'{word}'" for word in words)
    lines = (
        "source completion.sh",
        f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}",
        '"$(complete -p deepmatrix | grep --only-matching _shtab_deepmatrix)"',
        'printf "%s\\n" "${COMPREPLY[@]}"',
    )
    command = [str(BASH), "--norc", "-c", "\n".join(lines)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return ended.stdout.split()


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str]) -> str:
    options = parse(["completion", "bash"])
    options.command(options)
    return capsys.readouterr().out


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bash_completes_commands_options_and_files(tmp_path: Path, script: str) -> None:
    assert complete(tmp_path, script, "deepmatrix", "ver") == ["verify"]
    assert complete(tmp_path, script, "deepmatrix", "verify", "--nat") == ["--native"]
    (tmp_path / "model.onnx").touch()
    assert "model.onnx" in complete(tmp_path, script, "deepmatrix", "verify", "mod")


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bash_completes_every_command(tmp_path: Path, script: str) -> None:
    assert {*complete(tmp_path, script, "deepmatrix", "")} >= {*build_parser().commands()}


def test_another_shell_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ArgumentError, match="bash"):
        parse(["completion", "cmd"])
