"""Ask the real Docker Compose what it reads in ``docker-compose.yaml``, and compare it with what our own reader does.

``make compose-config`` calls it. ``docker compose config`` needs no engine: it is asked of Docker's plugin where there is one, else of a
Docker Compose that is built from the Go module proxy into ``build/``. It must refuse the file without each required variable, and read
it with ``.env.sample`` filled in, with its optional lines and without, with the profile ``lab`` and without. ``make celery-check`` starts what
``tests/celery/compose.py`` reads, so that reader must find the same in every service.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.environment import BUILD, ROOT, StepError
from tests.celery.compose import Health, Service, Volume, fill_in, read_services, read_variables
from tests.scheduler import evidence

MODULE = "github.com/docker/compose/v5"
VERSION = "v5.0.2"
"""What is built where Docker's plugin is not to be had."""

PROFILE = "lab"
_SHELL = ("/bin/sh", "-c")
_SECONDS = {"h": 3600, "m": 60, "s": 1}
_COMPARED = ", ".join(field.name for field in fields(Service) if field.name != "name")


def main() -> int:
    """Run the check and keep its lines in ``docs/evidence``; the exit code is 0, or 1 if something does not hold or Compose cannot be had."""
    started = time.monotonic()
    try:
        compose = find_compose()
        version = _output([*compose, "version", "--short"])
        lines = [f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {evidence.commit()}, Docker Compose {version}"]
        with tempfile.TemporaryDirectory(prefix="ddb-export-compose-") as folder:
            lines += check(compose, Path(folder))
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    lines.append(
        f"ok: the file is read alike by Docker Compose and by make celery-check, {time.monotonic() - started:.0f} s"
    )
    print("\n".join(lines))
    evidence.keep("compose-config", lines)
    return 0


def find_compose() -> list[str]:
    """Return the command that is Docker Compose: Docker's plugin, or one that is built into ``build/``, now or before.

    :raises StepError: there is neither Docker Compose nor Go, or the build failed.
    """
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return [docker, "compose"]
    built = BUILD / f"docker-compose-{VERSION}"
    if not built.is_file():
        go = shutil.which("go")
        if go is None:
            raise StepError(
                "docker compose: PATH has neither Docker with its plugin nor Go, which would build it. Remedy: install one of them"
            )
        _build(go, built)
    return [str(built)]


def check(compose: Sequence[str], folder: Path) -> list[str]:
    """Hold Compose to the file, and our reader to Compose.

    :param folder: empty; the compose file and its ``.env`` are laid there, so that nobody's own ``.env`` counts.
    :return: one line per thing that was found to hold. :raises StepError: one does not.
    """
    text = (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")
    sample = (ROOT / ".env.sample").read_text(encoding="utf-8")
    folder.joinpath("docker-compose.yaml").write_text(text, encoding="utf-8")
    plain = fill_in(sample, lambda name: f"of-{name.lower()}")
    required = sorted(read_variables(fill_in(sample, lambda _: "")).keys() & _empty(sample))
    for name in required:
        _require_refused(compose, folder, re.sub(rf"(?m)^{name}=.*$", f"{name}=", plain), name)
    lines = [f"refused without each of {', '.join(required)}"]
    for dotenv, which in ((plain, "required lines"), (re.sub(r"(?m)^#(?=[A-Z_]+=)", "", plain), "every line")):
        for profiles in ((), (PROFILE,)):
            ours = {
                name: each
                for name, each in read_services(text, read_variables(dotenv)).items()
                if not each.profiles or each.profiles & set(profiles)
            }
            real = _services(_config(compose, folder, dotenv, profiles), folder)
            if found := list(differences(ours, real)):
                raise StepError(f"{'; '.join(found)}. Remedy: teach tests/celery/compose.py what Compose reads")
            lines.append(
                f"{which} of .env.sample, {'profile ' + PROFILE if profiles else 'no profile'}: {len(real)} services alike"
            )
    lines.append(f"compared of each: {_COMPARED}")
    lines.append(f"airflow.env reaches {', '.join(_reached_by_env_file(compose, folder, plain))} and no other")
    return lines


def differences(ours: Mapping[str, Service], real: Mapping[str, Service]) -> Iterable[str]:
    """Yield one text per service that one of the two lacks, and per field in which they differ."""
    for name in sorted(ours.keys() ^ real.keys()):
        yield f"service {name}: only {'our reader' if name in ours else 'Docker Compose'} has it"
    for name in sorted(ours.keys() & real.keys()):
        for field in fields(Service):
            here, there = getattr(ours[name], field.name), getattr(real[name], field.name)
            if here != there:
                yield f"service {name}: {field.name} is {here!r} to our reader, {there!r} to Docker Compose"


def service_of(name: str, config: Mapping[str, Any], folder: Path) -> Service:
    """Return a service as ``docker compose config --format json`` tells it, in which $ is doubled and every path absolute.

    :param folder: of the compose file.
    """
    told = _single_dollars(config)
    needs = told.get("depends_on") or {}
    environment = told.get("environment") or {}
    return Service(
        name=name,
        image=told["image"],
        user=told.get("user", ""),
        command=tuple(told.get("command") or ()),
        environment={key: value for key, value in environment.items() if value is not None},
        volumes=tuple(_volume(each, folder) for each in told.get("volumes", ())),
        published={each["target"]: int(each["published"]) for each in told.get("ports", ())},
        health=_health(told["healthcheck"]) if "healthcheck" in told else None,
        needs={other: each["condition"] for other, each in needs.items()},
        optional=frozenset(other for other, each in needs.items() if not each["required"]),
        profiles=frozenset(told.get("profiles", ())),
        replicas=told.get("deploy", {}).get("replicas", 1),
        restart=told.get("restart", "no"),
    )


def _services(config: Mapping[str, Any], folder: Path) -> dict[str, Service]:
    return {name: service_of(name, each, folder) for name, each in config["services"].items()}


def _single_dollars(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _single_dollars(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_single_dollars(each) for each in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


def _volume(told: Mapping[str, Any], folder: Path) -> Volume:
    source = told["source"]
    return Volume(source if told["type"] == "volume" else f"./{Path(source).relative_to(folder)}", told["target"])


def _health(told: Mapping[str, Any]) -> Health:
    kind, *command = told["test"]
    start, interval, timeout = (_duration(told[key]) for key in ("start_period", "interval", "timeout"))
    shell = _SHELL if kind == "CMD-SHELL" else ()
    return Health((*shell, *command), start + told["retries"] * (interval + timeout), timeout)


def _duration(text: str) -> int:
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def _empty(sample: str) -> set[str]:
    return set(re.findall(r"(?m)^([A-Z_]+)=$", sample))


def _reached_by_env_file(compose: Sequence[str], folder: Path, dotenv: str) -> list[str]:
    """Return the services that get what ``airflow.env`` says.

    :raises StepError: they are not those of Airflow.
    """
    folder.joinpath("airflow.env").write_text("AIRFLOW_CONN_ELSEWHERE=http://elsewhere\n")
    told = _config(compose, folder, dotenv, (PROFILE,))["services"]
    reached = {name for name, each in told.items() if "AIRFLOW_CONN_ELSEWHERE" in (each.get("environment") or {})}
    airflow = {name for name, each in told.items() if "AIRFLOW__CORE__EXECUTOR" in (each.get("environment") or {})}
    if reached != airflow:
        raise StepError(f"airflow.env: reaches {sorted(reached)}, not {sorted(airflow)}. Remedy: correct env_file")
    return sorted(reached)


def _require_refused(compose: Sequence[str], folder: Path, dotenv: str, name: str) -> None:
    answer = _ask(compose, folder, dotenv, ())
    if answer.returncode == 0 or name not in answer.stderr:
        raise StepError(f"{name}: is empty, and Compose does not refuse the file for it. Remedy: write ${{{name}:?…}}")


def _config(compose: Sequence[str], folder: Path, dotenv: str, profiles: Sequence[str]) -> dict[str, Any]:
    answer = _ask(compose, folder, dotenv, profiles)
    if answer.returncode:
        raise StepError(
            f"docker compose config: {' '.join(answer.stderr.split())}. Remedy: correct docker-compose.yaml"
        )
    parsed: dict[str, Any] = json.loads(answer.stdout)
    return parsed


def _ask(
    compose: Sequence[str], folder: Path, dotenv: str, profiles: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    folder.joinpath(".env").write_text(dotenv, encoding="utf-8")
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    # A variable of the shell that calls would win over .env.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_CONFIG") if name in os.environ}
    command = [*compose, *chosen, "config", "--format", "json"]
    return subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)


def _build(go: str, target: Path) -> None:
    """Build Docker Compose from the Go module proxy.

    :raises StepError: the module cannot be had, or does not build.
    """
    print(f"docker compose: none here, so {MODULE} {VERSION} is built (some minutes)", flush=True)
    module = json.loads(_output([go, "mod", "download", "-json", f"{MODULE}@{VERSION}"], BUILD))
    with tempfile.TemporaryDirectory(prefix="ddb-export-compose-") as folder:
        source = Path(folder) / "source"
        shutil.copytree(module["Dir"], source, copy_function=shutil.copyfile)
        for each in (source, *source.rglob("*")):
            each.chmod(0o755 if each.is_dir() else 0o644)
        version = f"-X {MODULE}/internal.Version={VERSION}"
        _output([go, "build", "-trimpath", "-ldflags", version, "-o", str(target), "./cmd"], source)


def _output(command: Sequence[str], folder: Path = ROOT) -> str:
    environment = {**os.environ, "GOTOOLCHAIN": "auto", "GOFLAGS": "-mod=mod"}
    folder.mkdir(exist_ok=True)
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        cause = (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[-1]
        raise StepError(
            f"{' '.join(command[:3])}: {cause}. Remedy: look at the network and free disk space, then try again"
        )
    return answer.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
