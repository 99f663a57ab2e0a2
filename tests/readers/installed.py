"""Readers that the project does not depend on, brought to ``build/readers`` once: Spark from PyPI, Trino from Maven Central."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "build" / "readers"
SPARK = "pyspark>=4,<5"
TRINO = "476"
TRINO_JAVA = 24
"""First version of Java that Trino 476 runs on (its documentation, "Deploying Trino"); Spark 4 takes 17."""

_SPARK_JAVA = range(17, 24)


class ReaderMissingError(RuntimeError):
    """A reader cannot be had; the message holds the exact words of whoever refused it."""


def spark_python() -> Path:
    """Return the Python of an environment that has PySpark."""
    python = FOLDER / "spark" / "bin" / "python"
    if not (FOLDER / "spark" / ".ready").exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        if uv := shutil.which("uv"):
            _run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(FOLDER / "spark")])
            _run([uv, "pip", "install", "--quiet", "--python", str(python), SPARK])
        else:
            _run([sys.executable, "-m", "venv", str(FOLDER / "spark")])
            _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", SPARK])
        (FOLDER / "spark" / ".ready").touch()
    return python


def spark_java() -> Path:
    """Return the home of a JDK that Spark runs on."""
    return _java(_SPARK_JAVA)


def trino_java() -> Path:
    """Return the home of a JDK that Trino runs on."""
    return _java(range(TRINO_JAVA, 100))


def trino_home() -> Path:
    """Return the folder of an unpacked Trino server."""
    home = FOLDER / f"trino-server-{TRINO}"
    if not (home / ".ready").exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        maven = shutil.which("mvn")
        if maven is None:
            raise ReaderMissingError("mvn: not found; install Maven")
        artifact = f"io.trino:trino-server:{TRINO}:tar.gz"
        _run([maven, "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={FOLDER}"])
        archive = FOLDER / f"trino-server-{TRINO}.tar.gz"
        # Plugins share jars by hard links, so that all is unpacked before what is not needed goes.
        with tarfile.open(archive) as packed:
            packed.extractall(FOLDER, filter="data")
        for plugin in (home / "plugin").iterdir():
            if plugin.name != "hive":
                shutil.rmtree(plugin)
        archive.unlink()
        (home / ".ready").touch()
    return home


def _java(versions: range) -> Path:
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    if on_path := shutil.which("java"):
        homes.append(Path(on_path).resolve().parents[1])
    found = {}
    for home in homes:
        if (home / "bin" / "java").exists():
            text = subprocess.run(
                [home / "bin" / "java", "-version"], capture_output=True, text=True, check=False
            ).stderr
            version = re.search(r'version "(\d+)', text)
            found[home] = int(version[1]) if version else 0
    for home, number in found.items():
        if number in versions:
            return home
    have = ", ".join(f"{number} in {home}" for home, number in found.items()) or "none"
    raise ReaderMissingError(f"Java {versions.start} or newer: not found; there is {have}")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReaderMissingError(f"{' '.join(command)}: {(done.stdout + done.stderr).strip()}")
