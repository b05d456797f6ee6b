"""Lines of code: what counts as one."""

from __future__ import annotations

import pytest

from deepmatrix.workloads import idioms, networks
from deepmatrix.workloads.programs import idiom_files


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("", 0),
        ('"""A module."""\n\nimport os\nfrom os import path\n', 0),
        ("x = 1  # and why\n# more\n\ny = 2\n", 2),
        ("x = 1; y = 2\n", 2),
        ("x = call(\n    1,\n    2,\n)\n", 1),
        ('def f():\n    """Say."""\n    return 1\n', 2),
        ("@one\n@two\ndef f():\n    pass\n", 4),
        ("for x in y:\n    a\nelse:\n    b\n", 4),
        ("if a:\n    b\nelif c:\n    d\nelse:\n    e\n", 6),
        ("try:\n    a\nexcept E:\n    b\nfinally:\n    c\n", 6),
        ("with a as b, c as d:\n    e\n", 2),
        ("class A:\n    x = 1\n\n    def f(self):\n        import os\n        return os\n", 4),
        ("f = lambda x: x\n", 1),
        ("async def f():\n    await g()\n", 2),
        ("match a:\n    case 1:\n        b\n    case _:\n        c\n", 5),
        ('"""A module."""\n"a statement"\n', 1),
    ],
)
def test_logical_lines(source: str, lines: int) -> None:
    assert idioms.logical_lines(source) == lines


def test_every_network_has_an_idiom_in_every_framework_and_each_a_training_loop() -> None:
    named = {idioms.network_name(name) for name in networks.NETWORKS if name.endswith("-small")}
    assert len(named) == 13
    systems = ("torch", "tensorflow", "jax", "caffe", "cntk", "theano", "tensorflow1", "torch1")
    wanted = {(name, by) for name in (*named, "training") for by in systems}
    assert idioms.line_counts().keys() == wanted
    assert all(count > 0 for count in idioms.line_counts().values())


def test_an_idiom_that_names_that_of_another_framework_has_its_lines() -> None:
    counts = idioms.line_counts()
    assert counts["lstm", "torch1"] == counts["lstm", "torch"]
    assert counts["resnet", "torch1"] != counts["resnet", "torch"]


def test_an_idiom_holds_only_the_definition_or_names_one() -> None:
    for path in idiom_files().values():
        source = path.read_text(encoding="utf-8")
        assert "harness" not in source or idioms.logical_lines(source) == 0


def test_the_lines_of_a_new_layer_are_those_of_its_definition() -> None:
    lines = idioms.layer_lines()
    assert lines["torch"] == lines["torch1"] == 7, "torch 1.0.0 takes torch's"
    assert lines["jax"] == 4, "the decorator, two lines, and the gradient that is set below"
    assert lines["tensorflow"] == lines["tensorflow1"] == 3
    assert lines["theano"] == lines["pytensor"] == 3, (
        "a graph of theirs, with a gradient of its own"
    )
    assert lines["cntk"] == 7, "a class, and what is in it of three functions"
    assert set(lines) >= {"caffe", "cntk", "theano", "pytensor", "tensorflow1"}
    assert all(lines.values())
