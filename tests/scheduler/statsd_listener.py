"""A StatsD server that keeps what is told of this package: ``name:value|type`` lines by UDP, as Airflow sends them."""

from __future__ import annotations

import itertools
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Self

_PREFIX = "airflow.ddb_export."
_PATIENCE_SECONDS = 10


class StatsdListener:
    """Listens on a port of its own from entering to leaving."""

    def __init__(self) -> None:
        lines: list[str] = []
        marks: dict[str, threading.Event] = {}

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                text = self.request[0].decode()
                lines.extend(line for line in text.splitlines() if line.startswith(_PREFIX))
                if mark := marks.pop(text, None):
                    mark.set()

        self._lines = lines
        self._marks = marks
        self._numbers = itertools.count()
        self._server = socketserver.UDPServer(("127.0.0.1", 0), Handler)

    @property
    def settings(self) -> dict[str, str]:
        """What makes an Airflow tell its metrics here."""
        host, port = self._server.server_address[:2]
        prefix = "AIRFLOW__METRICS__STATSD_"
        return {
            f"{prefix}ON": "True",
            f"{prefix}HOST": str(host),
            f"{prefix}PORT": str(port),
            f"{prefix}PREFIX": "airflow",
        }

    def told(self, metric: str) -> list[float]:
        """Return all values of a metric of this package, in order; such as ``items.orders``."""
        return [value for name, value, _ in self._heard() if name == metric]

    def told_below(self, beginning: str) -> list[float]:
        """Return all values of the metrics of this package whose names begin so, in order."""
        return [value for name, value, _ in self._heard() if name.startswith(beginning)]

    def metrics(self) -> dict[str, set[str]]:
        """Return each metric of this package, without what follows its own name, with the types in which it came: ``c``, ``g``, ``ms``."""
        found: dict[str, set[str]] = {}
        for name, _, kind in self._heard():
            found.setdefault(name.partition(".")[0], set()).add(kind)
        return found

    @property
    def lines(self) -> list[str]:
        """All lines of this package, as they came."""
        self._catch_up()
        return list(self._lines)

    def _heard(self) -> Iterator[tuple[str, float, str]]:
        for line in self.lines:
            name, _, rest = line.removeprefix(_PREFIX).rpartition(":")
            value, kind, *_ = rest.split("|")
            yield name, float(value), kind

    def _catch_up(self) -> None:
        """Wait until what was sent so far is read: datagrams on one machine are read in the order in which they were sent."""
        text, mark = f"mark {next(self._numbers)}", threading.Event()
        self._marks[text] = mark
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), self._server.server_address)
        assert mark.wait(_PATIENCE_SECONDS), "the listener does not read"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
