"""Makes the Python environment that the lab's server runs in, from nothing but a bare Python >= 3.11.

ministack pins versions of its own (botocore above all), so the server never shares an environment with Airflow. This
module uses the standard library only. Environments live below ``local_aws/.venv`` (or ``LOCAL_AWS_VENV``), one per
hash of ``requirements.txt`` and Python version, so that an upgrade never pulls an environment from under a server
that still runs in it. Two processes that start at once take turns through a file lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
REQUIREMENTS = PACKAGE / "requirements.txt"
MINIMUM_PYTHON = (3, 11)
STAMP = "complete"


class LabEnvironmentError(RuntimeError):
    """The lab's environment could not be made; the message names the step, the cause and a remedy."""


def environments_root() -> Path:
    """The folder that holds the lab's environments: ``LOCAL_AWS_VENV``, else ``local_aws/.venv``."""
    configured = os.environ.get("LOCAL_AWS_VENV")
    return Path(configured).resolve() if configured else PACKAGE / ".venv"


def environment_folder() -> Path:
    """The folder of the environment for this Python version and these requirements (it need not exist yet)."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    version = ".".join(str(part) for part in sys.version_info[:3])
    return environments_root() / f"{version}-{digest}"


def ensure() -> Path:
    """Make the environment unless it is there, and return the path of its Python.

    Raises :class:`LabEnvironmentError` if Python is too old or the packages cannot be installed.
    """
    if sys.version_info < MINIMUM_PYTHON:
        raise LabEnvironmentError(
            f"local_aws needs Python >= 3.11, this is {sys.version.split()[0]}: start it with a newer python3"
        )
    folder = environment_folder()
    python = folder / "bin" / "python"
    if not (folder / STAMP).exists():
        with _lock(environments_root()):
            if not (folder / STAMP).exists():
                print(f"local_aws: making its environment in {folder} (once)", file=sys.stderr, flush=True)
                _build(folder)
                (folder / STAMP).write_text("ok\n")
    return python


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    python = str(folder / "bin" / "python")
    uv = shutil.which("uv")
    if uv:
        _run([uv, "venv", "--quiet", "--no-project", "--python", _base_python(), str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", python, "-r", str(REQUIREMENTS)])
    else:
        _run([_base_python(), "-m", "venv", str(folder)])
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "-r", str(REQUIREMENTS)])


def _base_python() -> str:
    """The interpreter behind a virtual environment: an environment made from an environment would depend on it."""
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return str(base) if base.exists() else sys.executable


def _run(command: list[str]) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        cause = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise LabEnvironmentError(
            f"local_aws could not make its environment: `{' '.join(command[:4])} …` failed: {cause}; "
            "check the network or the package index (PIP_INDEX_URL, UV_INDEX_URL) and start it again"
        )
