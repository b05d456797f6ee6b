"""What an installed framework says of itself."""

import sys

import pytest

from harness.measuring import installed

METADATA = """Metadata-Version: 2.1
Name: {name}
Version: 1.0
{lines}

Requires-Dist: not this, which is the description
"""


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder of packages, first on the path, and a function that installs one there."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def install(name, *lines):
        folder = tmp_path / (name.replace("-", "_") + "-1.0.dist-info")
        folder.mkdir()
        text = METADATA.format(name=name, lines="\n".join(lines))
        (folder / "METADATA").write_text(text.replace("\n\n\n", "\n\n"))

    install.folder = tmp_path
    return install


def test_a_distribution_requires_what_its_requirements_require(packages):
    packages("big-frame", "Requires-Dist: Middle.Part>=1", "Requires-Dist: lacking")
    packages("middle-part", 'Requires-Dist: small; python_version > "3"')
    packages("small", "Requires-Dist: big_frame")
    packages("unrelated")
    assert installed.describe("Big_Frame")["requires"] == ["middle-part", "small"]


def test_what_only_an_extra_requires_does_not_count(packages):
    packages("frame", 'Requires-Dist: tested; extra == "test"')
    packages("tested")
    assert installed.describe("frame")["requires"] == []


def test_the_build_for_the_cpu_is_the_same_framework(packages):
    packages("frame-cpu")
    assert installed.describe("frame") is not None


def test_what_debian_packaged_is_read_too(packages):
    egg = packages.folder / "Old-1.0.egg-info"
    egg.mkdir()
    (egg / "PKG-INFO").write_text("Name: Old\nLicense: BSD\n")
    (egg / "requires.txt").write_text("small>=2\n\n[test]\ntested\n")
    packages("small")
    packages("tested")
    assert installed.describe("old") == {"licence": "BSD", "requires": ["small"]}


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        (["License-Expression: Apache-2.0", "License: all of its text"], "Apache-2.0"),
        (["Classifier: License :: OSI Approved :: MIT License", "License: x"], "MIT License"),
        (["License: BSD-3-Clause"], "BSD-3-Clause"),
        (["License: UNKNOWN"], None),
        ([], None),
    ],
)
def test_the_licence_is_the_most_exact_that_is_there(packages, lines, licence):
    packages("frame", *lines)
    assert installed.describe("frame")["licence"] == licence


def test_what_is_not_installed_is_not_described():
    assert installed.describe("no-such-frame") is None
