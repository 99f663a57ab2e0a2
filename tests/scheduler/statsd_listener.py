"""A StatsD server that keeps what is told of this package: ``name:value|type`` lines by UDP, as Airflow sends them."""

from __future__ import annotations

import socketserver
import threading
from typing import Self

_PREFIX = "airflow.ddb_export."


class StatsdListener:
    """Listens on a port of its own from entering to leaving."""

    def __init__(self) -> None:
        lines: list[str] = []

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                lines.extend(line for line in self.request[0].decode().splitlines() if line.startswith(_PREFIX))

        self._lines = lines
        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)

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
        found = [line.partition("|")[0].removeprefix(_PREFIX).rpartition(":") for line in self._lines]
        return [float(value) for name, _, value in found if name == metric]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
