"""The runners in JavaScript, by their own tests."""

import shutil
import subprocess
from pathlib import Path

import pytest

NODE = Path(__file__).resolve().parents[2] / "harness" / "runtimes" / "node"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
@pytest.mark.parametrize("path", sorted(NODE.glob("*.test.mjs")), ids=lambda path: path.name)
def test_its_own_tests_pass(path):
    ended = subprocess.run(
        ["node", str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-2000:]
