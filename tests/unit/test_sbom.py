"""Bills of materials: what an image's files say, and the document that is made of it."""

from __future__ import annotations

import io
import json
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.boundary.files import Damaged
from deepmatrix.cli import main
from deepmatrix.config import matrix_file
from deepmatrix.engines import archives
from deepmatrix.images.prepared import Prepared
from deepmatrix.images.sbom import components, contents, document
from deepmatrix.images.sbom.contents import Entry
from deepmatrix.paths import DOCKER, ROOT
from deepmatrix.planning.cells import Cell, all_cells
from deepmatrix.workloads import networks

MATRIX = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)

STATUS = b"""\
Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.36)
Version: 2.36-9+deb12u14
Description: GNU C Library
 Version: not a field

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
NOTICE = b"""\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: LGPL-2.1+
 The text.

Files: x
License: Expat
"""
METADATA = b"""\
Metadata-Version: 2.4
Name: NumPy
Version: 2.4.6
License-Expression: BSD-3-Clause AND MIT
Classifier: License :: OSI Approved :: Another

Name: in the description
"""
LICENCE = Entry("usr/share/doc/libc6/copyright", NOTICE)


def cell(cell_id: str) -> Cell:
    return next(cell for cell in all_cells(MATRIX) if cell.id == cell_id)


def bill(cell_id: str, entries: list[Entry], *recorded: str) -> dict[str, dict[str, object]]:
    """Return the components of a valid document by their package URLs or references."""
    image = Prepared(
        cell_id=cell_id,
        reference=f"deepmatrix/{cell_id}:0123456789ab",
        image_id=f"sha256:{'0' * 64}",
        debian=recorded,
    )
    text = document.render(cell(cell_id), image, contents.read(entries, image.debian))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    listed = json.loads(text)["components"]
    return {component["bom-ref"]: component for component in listed}


def licences(component: dict[str, object]) -> list[str]:
    return [
        entry.get("expression") or entry["license"].get("id") or entry["license"]["name"]
        for entry in component["licenses"]
    ]


def test_dpkgs_list_gives_the_installed_packages_with_source_and_licences() -> None:
    release = Entry("usr/lib/os-release", b'ID=debian\nVERSION_ID="12"\n')
    listed = bill(
        "onnxruntime-debian12-amd64-cpu", [Entry("var/lib/dpkg/status", STATUS), LICENCE, release]
    )
    address = "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12&upstream=glibc"
    assert set(listed) == {address, "system:debian-12"}
    assert sorted(licences(listed[address])) == ["Expat", "LGPL-2.1+"]


def test_a_root_that_was_only_unpacked_has_its_recorded_packages_as_far_as_they_are_there() -> None:
    entries = [
        Entry("var/lib/dpkg/status", b""),
        LICENCE,
        Entry("usr/share/doc/libc-bin", b"", "libc6"),
        Entry("usr/share/doc/unknown/copyright", b"free"),
        Entry("usr/share/doc/deepmatrix/copyright", b"ours"),
    ]
    recorded = ("libc6:amd64=2.36-9", "libc-bin:amd64=2.36-9", "left-out:all=1")
    listed = bill("onnxruntime-cpp-debian13-amd64-cpu", entries, *recorded)
    libc, bin_ = (f"pkg:deb/debian/{name}@2.36-9?arch=amd64" for name in ("libc6", "libc-bin"))
    assert set(listed) == {libc, bin_, "pkg:deb/debian/unknown", "deepmatrix:runner"}
    assert licences(listed[bin_]) == licences(listed[libc])
    (unknown,) = listed["pkg:deb/debian/unknown"]["properties"]
    assert unknown == {"name": "deepmatrix:version", "value": "unknown"}


def test_a_python_package_has_its_expression_and_what_the_lock_says() -> None:
    path = "packages/numpy-2.4.6.dist-info/METADATA"
    (numpy,) = bill("onnxruntime-debian12-amd64-cpu", [Entry(path, METADATA)]).values()
    assert numpy["purl"] == "pkg:pypi/numpy@2.4.6"
    assert licences(numpy) == ["BSD-3-Clause AND MIT"]
    assert numpy["properties"][0]["name"] == document.LOCKED


def test_a_package_of_npm_has_the_hash_of_the_lock() -> None:
    hashes = document.npm_hashes(DOCKER / "node/package-lock.json")
    name, version = next(key for key in hashes if key[0] == "onnxruntime-common")
    described = json.dumps({"name": name, "version": version, "license": {"type": "MIT"}})
    entry = Entry(f"packages/node_modules/{name}/package.json", described.encode())
    (package,) = bill("onnxruntime-node-debian13-amd64-cpu", [entry]).values()
    assert package["hashes"] == [{"alg": "SHA-512", "content": hashes[name, version]}]
    assert licences(package) == ["MIT"]


def test_the_scope_of_a_package_of_npm_is_its_namespace() -> None:
    entry = Entry("node_modules/@types/x/package.json", b'{"name": "@types/x", "version": "1"}')
    (package,) = bill("onnxruntime-node-debian13-amd64-cpu", [entry]).values()
    assert (package["group"], package["name"]) == ("@types", "x")
    assert package["purl"] == "pkg:npm/%40types/x@1"


def test_libraries_that_were_copied_from_a_wheel_are_listed_as_that_wheel() -> None:
    listed = bill("libtorch-cpp-debian12-amd64-cpu", [])
    assert any(reference.startswith("pkg:pypi/torch@") for reference in listed)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("var/lib/dpkg/status", True),
        ("var/lib/dpkg/status.d/base", True),
        ("var/lib/dpkg/status-old", False),
        ("packages/x-1.dist-info/METADATA", True),
        ("usr/local/lib/python3.11/site-packages/pip-26.dist-info/METADATA", True),
        ("usr/lib/python3/dist-packages/six-1.dist-info/METADATA", False),
        ("packages/node_modules/@a/b/package.json", True),
        ("packages/node_modules/a/dist/package.json", False),
        ("usr/share/nodejs/node_modules/a/package.json", False),
        ("usr/local/include/python3.11/patchlevel.h", True),
    ],
)
def test_what_debians_own_packages_bring_is_not_listed_twice(path: str, wanted: bool) -> None:
    assert contents.is_wanted(path) == wanted


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("a.dist-info/METADATA", b"Version: 1\n", "name"),
        ("a.dist-info/METADATA", b"Name: a\x1b[31m\nVersion: 1\n", "name"),
        ("a.dist-info/METADATA", b"Name: a\nVersion: " + b"1" * 401, "version"),
        ("node_modules/a/package.json", b"[1]", "object"),
        ("node_modules/a/package.json", b'{"name": 5, "version": "1"}', "name"),
        ("var/lib/dpkg/status", b"Package: \nVersion: 1\n", "name"),
    ],
)
def test_a_damaged_file_is_one_error_that_names_it(path: str, content: bytes, problem: str) -> None:
    with pytest.raises(Damaged, match=problem) as raised:
        contents.read([Entry(path, content)], ())
    assert raised.value.message.startswith(f"{path}: ")


PATHS = st.sampled_from([
    "var/lib/dpkg/status", "a.dist-info/METADATA", "node_modules/a/package.json",
    "usr/lib/os-release", "usr/share/doc/a/copyright", "usr/local/include/python3.1/patchlevel.h",
])  # fmt: skip
LINES = st.lists(
    st.sampled_from([b"Package: a", b"Name: a", b"Version: 1", b"License: GPL-2+", b" x", b"", b":",
                     b"Format: x", b"ID=a", b"VERSION_ID=1", b"Status: x", b'{"name": "a"', b"}"])
    | st.binary(max_size=40)
)  # fmt: skip
ENTRIES = st.lists(st.builds(Entry, PATHS, LINES.map(b"\n".join), st.sampled_from(["", "a", "/"])))


@given(ENTRIES)
def test_any_files_of_an_image_give_a_valid_document_or_one_error(entries: list[Entry]) -> None:
    try:
        read = contents.read(entries, ("a:amd64=1",))
    except Damaged:
        return
    image = Prepared(cell_id="x", reference="deepmatrix/x:1", image_id=f"sha256:{'0' * 64}")
    text = document.render(cell("onnxruntime-debian12-amd64-cpu"), image, read)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_only_wanted_files_of_an_image_are_read_and_none_beyond_its_bounds() -> None:
    small = tar_of({"./etc/x": b"1", "large": b"", "var/lib/dpkg/status": STATUS})
    (entry,) = archives.select(chunks(small), contents.is_wanted)
    assert entry == Entry("var/lib/dpkg/status", STATUS)
    large = tar_of({"var/lib/dpkg/status": bytes(archives.MAX_SELECTED_BYTES + 1)})
    tracemalloc.start()
    with pytest.raises(archives.Refused, match="too large"):
        list(archives.select(chunks(large), contents.is_wanted))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    with pytest.raises(archives.Refused, match="cannot be read"):
        list(archives.select(chunks(b"no tar" * 1000), contents.is_wanted))


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def chunks(content: bytes) -> Iterator[bytes]:
    yield from (content[at : at + 1000] for at in range(0, len(content), 1000))


def test_an_engine_without_images_has_no_bill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["image", "onnxruntime-debian12-amd64-cpu", "--engine", "venv"]
    assert main.main([*arguments, "--sbom", str(tmp_path)]) == 2
    assert (
        "--sbom needs a container engine; the engine venv builds no images"
        in capsys.readouterr().err
    )


def test_a_python_of_an_official_image_is_listed() -> None:
    header = b'/* x */\n#define PY_VERSION      "3.11.9"\n'
    python = components.python_itself("usr/local/include/python3.11/patchlevel.h", header)
    assert (python.name, python.version) == ("cpython", "3.11.9")
