"""The environment that stands for the image: Airflow with Celery and FAB as the base image has them, and the wheel of this project.

Neither provider is a dependency of the tests, so the environment is one of its own, ``build/celery-venv``: made once, and again when what
goes into it changes. The wheel is built and installed by each call, so that what runs is the work tree as it stands.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from local_aws import environment as of_the_lab
from scripts.environment import BUILD, ROOT, Environment, create, one_at_a_time, project_table, usable_uv
from scripts.packages import build

FOLDER = BUILD / "celery-venv"
OF_THE_IMAGE = (
    "apache-airflow-providers-celery",
    "apache-airflow-providers-fab",
    "apache-airflow-providers-postgres",
    "apache-airflow-providers-redis",
    # With 5.7.0 the worker of provider 3.26.0 ends at once, and blames an Airflow below 2.8.
    "celery<5.7",
)
"""What the compose file needs of the image ``apache/airflow`` beside Airflow (the extras celery, fab, postgres, redis of its Dockerfile)."""


class RedisError(RuntimeError):
    """The server cannot be had; the message is one line with the thing, the cause and a remedy."""


def prepare() -> Environment:
    """Return the environment, made or refreshed.

    The lab's environment is made too, as it is in the lab's image.

    :raises scripts.environment.StepError: an installation failed.
    :raises local_aws.environment.LabEnvironmentError: the lab's did.
    :raises scripts.packages.PackageError: the wheel could not be built.
    """
    of_the_lab.ensure()
    environment = Environment(FOLDER, usable_uv())
    constraints = ROOT / "constraints" / f"constraints-{sys.version_info.major}.{sys.version_info.minor}.txt"
    wanted = [*project_table()["dependencies"], *OF_THE_IMAGE, "--constraint", str(constraints)]
    ready = FOLDER / ".ready"
    state = hashlib.sha256("\n".join([*wanted, constraints.read_text()]).encode()).hexdigest()
    with one_at_a_time():
        create(environment)
        if not ready.is_file() or ready.read_text() != state:
            environment.install(*wanted)
            ready.write_text(state)
        with tempfile.TemporaryDirectory(prefix="ddb-export-celery-") as folder:
            wheel = next(path for path in build(ROOT, Path(folder)) if path.suffix == ".whl")
            environment.install("--no-deps", "--force-reinstall", str(wheel))
    return environment


def binaries(environment: Environment) -> Path:
    """Return the folder of ``airflow``, ``celery`` and ``python`` in the environment."""
    return environment.python.parent


def redis_programs() -> Path:
    """Return the folder of ``redis-server`` and ``redis-cli``.

    :raises RedisError: they are not on PATH.
    """
    found = shutil.which("redis-server")
    if found is None or shutil.which("redis-cli") is None:
        raise RedisError(
            "Redis: PATH has no redis-server or no redis-cli. Remedy: apt-get install redis-server (or put both on PATH)"
        )
    return Path(found).parent
