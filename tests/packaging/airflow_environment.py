"""Throw-away Python environments around the running one: its libraries, with the provider's wheel or without it.

Airflow looks for plugins and providers in the metadata of installed distributions, so that "not installed" can't be
shown in the running environment, which has the provider. A throw-away one links every library and costs no copy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROVIDER_FILES = ("ddb_export", "airflow_provider_ddb_export", "_airflow_provider_ddb_export")


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this work tree into a folder and return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


class AirflowEnvironment:
    """An interpreter with Airflow and an Airflow home of its own.

    :param folder: where to make it; must not exist.
    :param wheel: the provider's wheel to install, or None to have no provider installed.
    :param plugins_folder: what Airflow is told to be its plugins folder, or None for an empty one.
    """

    def __init__(self, folder: Path, *, wheel: Path | None, plugins_folder: Path | None) -> None:
        venv.EnvBuilder(with_pip=False, symlinks=True).create(folder / "env")
        self.python = folder / "env" / "bin" / "python"
        (site_packages,) = (folder / "env" / "lib").glob("python*/site-packages")
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if not entry.name.startswith(PROVIDER_FILES):
                (site_packages / entry.name).symlink_to(entry)
        if wheel:
            # A pure wheel is its installed form: unpacking it is what an installer does, scripts aside.
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site_packages)
        home = folder / "airflow"
        (home / "plugins").mkdir(parents=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "PYTHON"))}
        self.variables = kept | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins_folder or home / "plugins"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        }

    def run(self, program: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program in the environment, away from the work tree."""
        return subprocess.run(
            [self.python, "-c", program],
            cwd=self.variables["AIRFLOW_HOME"],
            env=self.variables,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )

    def json(self, program: str) -> Any:
        """Run a Python program and read the last line that it prints as JSON."""
        return json.loads(self.run(program).stdout.strip().splitlines()[-1])
