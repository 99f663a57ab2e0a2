"""Images that stand for the published ones where no registry can be reached: made from Debian's and PyPI's packages.

``debootstrap`` makes Debian's trees, which takes root; Python 3.12 is this machine's own. An image that the engine has already, published or
made before, is left as it is. Each carries a label that says what it is made of; what runs without it is a published image.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from scripts.environment import ROOT
from tests.celery.environment import OF_THE_IMAGE
from tests.engine.engine import EngineError, Project, docker

LABEL = "ddb_export.stand-in"
_RECIPES = Path(__file__).with_name("stand_ins")
_DEBIAN = "ddb-export-stand-in"
_MIRROR = "http://deb.debian.org/debian"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_ENTRY_POINT = "of this project, after the published one"
_NOT_NEEDED = shutil.ignore_patterns("__pycache__", "*.pth", "test", "config-3*")


def make(project: Project, say: Callable[[str], None]) -> None:
    """Make each image that the compose file and the Dockerfile name and the engine does not have.

    :raises EngineError: something that this takes is missing here, or a build failed.
    """
    # The engine's own builder: BuildKit asks a registry even for what the engine has.
    os.environ["DOCKER_BUILDKIT"] = "0"
    python, airflow = base_images()
    redis, postgres = (project.services[name].image for name in ("redis", "postgres"))
    version = airflow.partition(":")[2].partition("-")[0]
    wanted = (f"apache-airflow[amazon,celery,fab,postgres,redis]=={version}", *OF_THE_IMAGE)
    packages = " ".join(f"'{each}'" for each in wanted)
    for image, recipe, debian, arguments in (
        (python, "python", "bookworm", {"PREFIX": str(_python())}),
        (airflow, "airflow", "bookworm", {"PYTHON": python, "PACKAGES": packages, "ENTRY_POINT": _ENTRY_POINT}),
        (redis, "redis", "bookworm", {"ENTRY_POINT": _ENTRY_POINT}),
        (postgres, "postgres", "trixie", {"ENTRY_POINT": _ENTRY_POINT}),
    ):
        if not _has(image):
            say(f"{image}: a stand-in is made")
            if not _has(f"{_DEBIAN}:{debian}"):
                _make_debian(debian)
            _build(image, recipe, arguments)


def described(project: Project) -> list[str]:
    """Tell of each image that the project's containers run whether it is, or is built on, a stand-in, and what that is made of.

    An image has the labels of the one that it is built on.
    """
    python, airflow = base_images()
    bases = {project.services["migrate"].image: airflow, project.services["lab"].image: python}
    images = sorted({each.image for each in project.services.values()})
    return [f"{image}: {f'built on {bases[image]}, ' if image in bases else ''}{_label(image)}" for image in images]


def base_images() -> tuple[str, str]:
    """Return the images of Python and of Airflow that the Dockerfile begins with.

    :raises EngineError: it does not begin with them.
    """
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return _based_on("python", dockerfile), _based_on("apache/airflow", dockerfile)


def _based_on(name: str, dockerfile: str) -> str:
    """Return the image of that name which the Dockerfile begins with, its arguments filled in."""
    arguments = dict(re.findall(r"(?m)^ARG (\w+)=(\S+)$", dockerfile))
    found = re.search(rf"(?m)^FROM ({re.escape(name)}:\S+)", dockerfile)
    if found is None:
        raise EngineError(f"Dockerfile: nothing in it is FROM {name}. Remedy: teach tests/engine/stand_ins.py")
    return re.sub(r"\$\{(\w+)\}", lambda each: arguments[each[1]], found[1])


def _has(image: str) -> bool:
    return bool(docker("images", "--quiet", image).strip())


def _label(image: str) -> str:
    labels = json.loads(docker("inspect", "--format", "{{json .Config.Labels}}", image)) or {}
    return f"a stand-in, {labels[LABEL]}" if LABEL in labels else "as published"


def _python() -> Path:
    """Return the folder of a Python 3.12 of this machine, with its standard library and pip."""
    of_pyenv = map(str, Path.home().glob(".pyenv/versions/3.12.*/bin/python3.12"))
    for each in filter(None, (*of_pyenv, shutil.which("python3.12"))):
        code = "import sys; print(sys.base_prefix)"
        said = subprocess.run([each, "-c", code], capture_output=True, text=True, check=False)
        if said.returncode == 0:
            return Path(said.stdout.strip())
    raise EngineError(
        "Python 3.12: this machine has none to put into an image. Remedy: install one, by pyenv for example"
    )


def _make_debian(release: str) -> None:
    program = shutil.which("debootstrap")
    if program is None or os.geteuid():
        raise EngineError("debootstrap: it is not here, or you are not root. Remedy: apt-get install debootstrap; sudo")
    with tempfile.TemporaryDirectory(prefix="ddb-export-debian-") as folder:
        tree = f"{_DEBIAN}-tree:{release}"
        command = [program, "--variant=minbase", "--include=ca-certificates", release, folder, _MIRROR]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise EngineError(f"debootstrap {release}: {' '.join(made.stdout.split())[-300:]}. Remedy: see {_MIRROR}")
        packed = Path(f"{folder}.tar")
        try:
            subprocess.run(["tar", "--create", "--file", packed, "--directory", folder, "."], check=True)
            docker("import", str(packed), tree)
        finally:
            packed.unlink(missing_ok=True)
    _build(f"{_DEBIAN}:{release}", "debian", {"TREE": tree})


def _build(image: str, recipe: str, arguments: dict[str, str]) -> None:
    """Build an image from its recipe, in a folder with just what the recipe copies."""
    with tempfile.TemporaryDirectory(prefix="ddb-export-stand-in-") as name:
        folder = Path(name)
        shutil.copytree(_RECIPES / "entry-points", folder / "entry-points")
        shutil.copy(ROOT / "constraints" / "constraints-3.12.txt", folder / "constraints.txt")
        shutil.copy(_CERTIFICATES, folder)
        if prefix := arguments.get("PREFIX"):
            shutil.copytree(prefix, folder / "python", symlinks=True, ignore=_NOT_NEEDED)
        given = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        docker("build", *given, "--tag", image, "--file", str(_RECIPES / f"{recipe}.Dockerfile"), name)
