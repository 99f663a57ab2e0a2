"""The command ``python -m demo.ui``, which ``make ui`` runs: Airflow and the local AWS with some days behind them, until Ctrl-C.

With ``--once`` it ends by itself as soon as everything is up: so a workflow sees every week that all of it can still be prepared.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from ddb_export.exceptions import DdbExportError
from demo.console import Console
from demo.ending import alone_in, end_by_signals, ignore_signals
from demo.errors import DemoError
from demo.tour import MOST_DAYS, Tour
from local_aws.client import LabError

_PORT = 8080


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the tour, and leave it running; the exit code is 0 after Ctrl-C or ``--once``, 1 if it could not be prepared, 130 if interrupted before."""
    parser = argparse.ArgumentParser(prog="python -m demo.ui", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build"), help="where the folder ui goes (build)")
    parser.add_argument("--days", type=int, default=5, choices=range(2, MOST_DAYS + 1), help="daily windows (5)")
    parser.add_argument("--port", type=int, help=f"of Airflow's pages ({_PORT}, or a free one where that is taken)")
    parser.add_argument(
        "--once", action="store_true", help="end when everything is up and green, without waiting for Ctrl-C"
    )
    options = parser.parse_args(arguments)
    console = Console()
    end_by_signals()
    folder = (options.output / "ui").resolve()
    try:
        with alone_in(folder):
            port = options.port or free_or_any(_PORT)
            return _run(Tour(folder, console, options.days, port), once=options.once)
    except DemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def free_or_any(port: int) -> int:
    """Return a port of the loopback interface if nobody listens on it, else 0, which means any."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def _run(tour: Tour, *, once: bool) -> int:
    code = 130
    try:
        lines = tour.prepare()
        code = 0
        tour.console.title("This was to be seen" if once else "Have a look; Ctrl-C ends everything")
        for line in lines:
            tour.console.line(f"  {line}" if line else "")
        if not once:
            signal.pause()
    except KeyboardInterrupt:
        tour.console.line()
    except (DemoError, DdbExportError, LabError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    finally:
        ignore_signals()
        if code != 1:
            tour.console.step("ending Airflow and the local AWS")
        tour.stack.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
