"""`make engine-check`: what it takes from the files without an engine. What it sees in one is in docs/evidence/engine.log."""

from __future__ import annotations

from tests.engine.engine import Container
from tests.engine.stand_ins import base_images


def test_stand_ins_are_made_for_the_images_that_the_dockerfile_begins_with() -> None:
    python, airflow = base_images()
    assert python.startswith("python:3.12.")
    assert airflow == "apache/airflow:3.3.2-python3.12"


def test_a_container_is_read_as_docker_inspect_tells_it() -> None:
    labels = {"com.docker.compose.service": "worker"}
    state = {"Status": "running", "ExitCode": 0, "Health": {"Status": "starting"}}
    said = {
        "Id": "f00",
        "Name": "/ddb-export-engine-check-worker-2",
        "RestartCount": 1,
        "Config": {"Labels": labels},
        "State": state,
    }
    container = Container(said)
    assert (container.name, container.service, container.restarts) == ("worker-2", "worker", 1)
    assert (container.status, container.health, container.exit_code) == ("running", "starting", 0)
    assert Container({**said, "State": {"Status": "exited", "ExitCode": 3}}).health == ""
