"""What a container gives each Python process that starts in it: a host name of its own, and a network that nobody outside reaches.

Python imports a module of this name before anything else, where its folder is on PYTHONPATH.
"""

from __future__ import annotations

import os
import socket
from typing import Any

_INSIDE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class LoopbackSocket(socket.socket):
    """Binds to the loopback interface where it is asked to bind to every address: Airflow's log servers know nothing else."""

    def bind(self, address: Any) -> None:
        """Bind to an address, at most to the loopback interface."""
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            host, *rest = address
            inside = _INSIDE.get(host, host)
            address = ("::1" if self.family == socket.AF_INET6 and inside == "127.0.0.1" else inside, *rest)
        super().bind(address)


if "HOSTNAME" in os.environ:
    socket.socket = LoopbackSocket  # type: ignore[misc]
    socket.gethostname = lambda: os.environ["HOSTNAME"]
