"""Setting an engine up: what would be installed, written and said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from deepmatrix.engines import choose
from deepmatrix.engines.setup import debian
from deepmatrix.engines.setup.daemon import Daemon
from deepmatrix.engines.setup.debian import DEBIAN, SUITE, TOOLS, UBUNTU, Recipe, recipe_for
from deepmatrix.errors import EngineError

OLD = {"ID": "debian", "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)"}
UBUNTU_RELEASE = {"ID": "ubuntu", "ID_LIKE": "debian", "PRETTY_NAME": "Ubuntu 24.04 LTS"}


def test_an_old_debian_installs_the_next_releases_engine() -> None:
    recipe = recipe_for(OLD, has_candidate=lambda _: False)
    assert recipe == Recipe(engine=DEBIAN, tools=TOOLS, suite=SUITE)


def test_a_newer_debian_installs_its_own_engine() -> None:
    assert recipe_for({"ID": "debian"}, has_candidate=lambda _: True).suite is None


def test_ubuntu_installs_its_own_engine_and_debians_keys() -> None:
    recipe = recipe_for(UBUNTU_RELEASE, has_candidate=lambda _: True)
    assert recipe.engine == UBUNTU
    assert "debian-archive-keyring" in recipe.tools


@pytest.mark.parametrize(
    ("system", "name"),
    [
        ({"ID": "fedora", "PRETTY_NAME": "Fedora Linux 43"}, "Fedora Linux 43"),
        ({**UBUNTU_RELEASE, "PRETTY_NAME": "Ubuntu 18.04"}, "Ubuntu 18.04"),
    ],
)
def test_other_systems_are_refused(system: dict[str, str], name: str) -> None:
    with pytest.raises(EngineError) as caught:
        recipe_for(system, has_candidate=lambda _: False)
    assert caught.value.message == f"engines are set up on Debian and Ubuntu; this is {name}"
    assert "--engine venv" in caught.value.hint


def test_the_foreign_suite_is_used_only_where_it_is_named() -> None:
    assert debian.source("http://mirror/debian", "trixie") == (
        "Types: deb\n"
        "URIs: http://mirror/debian\n"
        "Suites: trixie\n"
        "Components: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    assert "Pin-Priority: 100" in debian.pin("trixie")


def test_os_release_is_parsed(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n\n')
    assert debian.os_release(file) == OLD
    assert debian.os_release(tmp_path / "none") == {}


def test_where_an_engine_answers_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = SimpleNamespace(
        product=lambda: "Docker",
        endpoint=SimpleNamespace(origin="DOCKER_HOST"),
        capabilities=lambda: SimpleNamespace(emulated=frozenset()),
        close=lambda: None,
    )
    monkeypatch.setattr(choose, "discover", lambda: engine)
    monkeypatch.setattr(debian, "_install", lambda *_: pytest.fail("installed something"))
    messages: list[str] = []
    debian.start(say=messages.append)
    assert messages[0] == "Docker answers at DOCKER_HOST: nothing changed"
    assert "emulates no other architecture" in messages[1]


def test_without_a_daemon_stop_does_nothing(tmp_path: Path) -> None:
    messages: list[str] = []
    debian.stop(say=messages.append, private=Daemon(run=tmp_path, data=tmp_path))
    assert messages == ["nothing to end: no private daemon runs"]


def test_a_daemon_keeps_to_its_own_folders(tmp_path: Path) -> None:
    daemon = Daemon(run=tmp_path / "run", data=tmp_path / "data", apart=True)
    assert daemon.command()[:3] == ["unshare", "--net", "dockerd"]
    paths = [word for word in daemon.command() if "/" in word]
    assert len(paths) == 4
    assert all(str(tmp_path) in path for path in paths)


def test_another_process_with_the_same_id_is_not_the_daemon(tmp_path: Path) -> None:
    daemon = Daemon(run=tmp_path, data=tmp_path)
    (tmp_path / "docker.pid").write_text("1")
    assert daemon.pid() is None
    (tmp_path / "docker.pid").write_text("not a number")
    assert daemon.pid() is None
