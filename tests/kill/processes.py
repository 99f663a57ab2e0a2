"""Workers as real processes: begun by the nursery within milliseconds, killed with their whole process group."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_STEP = 0.01
_LONGEST_LIFE = 150.0


@dataclass(frozen=True)
class Worker:
    """A process that works on a run.

    :param pid: its id, and that of its process group.
    """

    pid: int

    @property
    def alive(self) -> bool:
        """Whether the process exists; the nursery leaves no zombies."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """Kill the process group with SIGKILL, of which a process is not told, and wait until it is gone."""
        os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        """Wait for the end of the process."""
        given_up = time.monotonic() + _LONGEST_LIFE
        while self.alive:
            assert time.monotonic() < given_up, f"process {self.pid} does not end"
            time.sleep(_STEP)


class Nursery:
    """The process that workers are forked from; see :mod:`tests.kill.nursery`. A context manager."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ddb-export-kill-"))
        with (self.folder / "nursery.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.kill.nursery"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=Path(__file__).parents[2],
            )
        try:
            self._template = Path(self._answer()["ready"])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the nursery and forget what workers left."""
        self._process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_airflow(self, name: str) -> Path:
        """Make the folder of an Airflow of its own, with a fresh database."""
        folder = self.folder / name
        folder.mkdir()
        shutil.copyfile(self._template, folder / "airflow.db")
        return folder

    def begin(self, order: dict[str, Any]) -> Worker:
        """Begin a worker; see :func:`tests.kill.airflow_worker.work` for the order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Worker(int(self._answer()["pid"]))

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the nursery has ended: {(self.folder / 'nursery.log').read_text()[-2000:]}"
        return dict(json.loads(line))
