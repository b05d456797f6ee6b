"""What a package index lists: read from a real server, with one clear error where it cannot be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deepmatrix.errors import ArgumentError
from deepmatrix.machine.packages.indexes import Sources
from deepmatrix.machine.packages.listings import JSON, ListedFile, list_files

FILES = [
    {"filename": "a-1.0.tar.gz", "upload-time": "2016-01-02T03:04:05Z"},
    {"filename": "a-1.1.tar.gz", "upload-time": "2016-01-02T03:04:05Z", "yanked": "broken"},
]
PAGES = {
    "/simple/a-b/": json.dumps({"files": FILES}),
    "/simple/html/": "<html></html>",
    "/simple/old/": json.dumps({"files": [{"filename": "a-1.0.tar.gz"}]}),
    "/simple/odd/": json.dumps(["files"]),
}


class Index(BaseHTTPRequestHandler):
    """An index: it answers what was asked for in JSON."""

    def do_GET(self) -> None:
        page = PAGES.get(self.path)
        self.send_response(200 if page and self.headers["Accept"] == JSON else 404)
        self.end_headers()
        self.wfile.write((page or "").encode())

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def index() -> Iterator[Sources]:
    server = HTTPServer(("127.0.0.1", 0), Index)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Sources(index=f"http://127.0.0.1:{server.server_port}/simple")
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_files_of_a_project_are_listed_without_withdrawn_ones(index: Sources) -> None:
    assert list_files("A_b", index) == [ListedFile(name="a-1.0.tar.gz", uploaded=date(2016, 1, 2))]


@pytest.mark.parametrize("project", ["html", "old", "odd", "missing"])
def test_an_index_that_cannot_tell_is_one_clear_error(index: Sources, project: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        list_files(project, index)
    assert f"the package index lists no files of '{project}'" in caught.value.message
