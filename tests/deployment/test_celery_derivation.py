"""What `make celery-check` derives from docker-compose.yaml: every command and variable, as an engine would read them, on this machine's ports and folders."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.celery.compose import ComposeError, fill_in, in_order, interpolate, read_services, read_variables
from tests.celery.placement import place

ROOT = Path(__file__).parents[2]
LAB = frozenset({"lab"})
AIRFLOW = {"migrate", "api-server", "scheduler", "dag-processor", "triggerer", "worker-1", "worker-2", "lab-tables"}


@pytest.fixture(scope="module")
def variables():
    sample = (ROOT / ".env.sample").read_text()
    return read_variables(fill_in(sample, lambda name: f"of-{name.lower()}")) | {
        "AIRFLOW_PORT": "20000",
        "LAB_PORT": "20001",
    }


@pytest.fixture(scope="module")
def services(variables):
    return read_services((ROOT / "docker-compose.yaml").read_text(), variables)


@pytest.fixture(scope="module")
def placement(services):
    free = itertools.count(30000)
    return place(in_order(services, LAB), Path("/somewhere"), lambda count: [next(free) for _ in range(count)])


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("${A}", "a"),
        ("${A:-b}", "a"),
        ("${B:-b c:d}", "b c:d"),
        ("${B:-}", ""),
        ("${B:-http://h:${A:-1}/${EMPTY:-c}}/", "http://h:a/c/"),
        ("${B}", ""),
        ("${EMPTY:-b}", "b"),
        ("${A:?is missing}", "a"),
        ("$$A and $${A}", "$A and ${A}"),
        ("x${A}y${A}", "xaya"),
    ],
)
def test_variables_are_read_as_compose_reads_them(text, read):
    assert interpolate(text, {"A": "a", "EMPTY": ""}) == read


@pytest.mark.parametrize(("text", "said"), [("${B:?is missing}", "B: is missing"), ("a$b", "lone"), ("${B+b}", "lone")])
def test_what_cannot_be_read_is_refused(text, said):
    with pytest.raises(ComposeError, match=said):
        interpolate(text, {})


def test_without_a_secret_nothing_starts(variables):
    text = (ROOT / "docker-compose.yaml").read_text()
    for name in ("AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        with pytest.raises(ComposeError, match=f"{name}: is not set"):
            read_services(text, {**variables, name: ""})


def test_services_start_behind_those_that_they_wait_for(services):
    names = [each.name for each in in_order(services, LAB)]
    for service in services.values():
        assert all(names.index(other) < names.index(service.name) for other in service.needs)
    assert {each.name for each in in_order(services, frozenset())} == set(names) - {"lab", "lab-tables"}


def test_what_runs_tasks_waits_for_the_api_server_and_the_dag_processor_for_the_labs_tables(services):
    for name in ("scheduler", "worker"):
        assert services[name].needs["api-server"] == "service_healthy", name
    assert services["dag-processor"].needs["lab-tables"] == "service_completed_successfully"
    assert {name: each.optional for name, each in services.items() if each.optional} == {
        "dag-processor": frozenset({"lab-tables"})
    }


def test_a_service_that_must_have_what_no_profile_starts_is_refused(services):
    needy = replace(services["dag-processor"], optional=frozenset())
    with pytest.raises(ComposeError, match="dag-processor: waits for what never starts"):
        in_order({**services, "dag-processor": needy}, frozenset())


def test_a_variable_without_a_value_is_that_of_dotenv_or_is_not_set(variables):
    text = (ROOT / "docker-compose.yaml").read_text()
    assert "AWS_DEFAULT_REGION" not in read_services(text, variables)["worker"].environment
    given = read_services(text, {**variables, "AWS_DEFAULT_REGION": "eu-central-1"})
    assert given["worker"].environment["AWS_DEFAULT_REGION"] == "eu-central-1"


def test_what_an_engine_starts_again_is_what_the_file_says(services):
    for_ever = {name for name, each in services.items() if each.restart == "unless-stopped"}
    assert for_ever == services.keys() - {"migrate", "lab", "lab-tables"}
    assert services["lab"].restart == "no"


def test_every_service_runs_what_the_file_says(services, placement):
    by_service = {
        each.service.name: placement.command(each) for each in placement.containers.values() if each.service.command
    }
    assert by_service.keys() == services.keys() - {"postgres"}
    assert by_service["worker"] == ["airflow", "celery", "worker"]
    assert by_service["redis"][-4:] == ["--requirepass", "of-redis_password", "--save", ""]
    assert by_service["lab"][:7] == ["python", "-m", "local_aws", "--host", "127.0.0.1", "--port", "20001"]
    assert by_service["lab-tables"][-3:] == [
        "http://127.0.0.1:20001",
        "--into",
        "/somewhere/lab-tables/opt/airflow/lab-bundle",
    ]
    assert '--password="$ADMIN_PASSWORD"' in by_service["migrate"][-1]


def test_health_checks_ask_the_process_that_stands_for_the_container(placement):
    containers = placement.containers
    assert placement.health(containers["api-server"])[-1] == "http://127.0.0.1:20000/api/v2/monitor/health"
    port = containers["scheduler"].ports[8974]
    assert placement.health(containers["scheduler"])[-1] == f"http://127.0.0.1:{port}/health"
    assert placement.environment(containers["scheduler"])[
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT"
    ] == str(port)
    assert placement.health(containers["worker-2"])[-1].endswith('--destination "celery@${HOSTNAME}"')
    assert placement.environment(containers["worker-2"])["HOSTNAME"] == "worker-2"
    assert containers["worker-1"].service.health.patience == 180 + 5 * (60 + 30)


def test_people_are_led_to_the_published_port_whatever_ports_containers_have(placement):
    assert {
        placement.environment(each).get("AIRFLOW__API__BASE_URL")
        for name, each in placement.containers.items()
        if name in AIRFLOW - {"lab-tables"}
    } == {"http://localhost:20000"}


def test_names_ports_and_paths_of_containers_become_those_of_this_machine(placement):
    for name, container in placement.containers.items():
        environment = placement.environment(container)
        words = [*environment.values(), *placement.health(container)]
        words += placement.command(container) if container.service.command else []
        for word in words:
            assert not any(
                f"{host}:{port}" in word for host, port in (("postgres", 5432), ("redis", 6379), ("lab", 4566))
            )
            assert "/opt/" not in word.replace(f"/somewhere/{name}/opt/", "")
        assert ("AIRFLOW_HOME" in environment) == (name in AIRFLOW)
    ports = [port for container in placement.containers.values() for port in container.ports.values()]
    assert len(set(ports)) == len(ports)
    worker = placement.environment(placement.containers["worker-1"])
    database = placement.containers["postgres"].ports[5432]
    assert (
        worker["AIRFLOW__CELERY__RESULT_BACKEND"]
        == f"db+postgresql://airflow:of-postgres_password@127.0.0.1:{database}/airflow"
    )
    assert (
        '"path": "/somewhere/worker-1/opt/airflow/bundle"' in worker["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"]
    )


def test_only_ports_names_and_homes_are_added_to_what_the_file_says(services, placement):
    for container in placement.containers.values():
        added = placement.environment(container).keys() - services[container.service.name].environment.keys()
        assert {name for name in added if not name.endswith("PORT")} <= {"HOSTNAME", "AIRFLOW_HOME"}


def test_the_image_lays_down_the_lab_without_the_tools_of_the_demo():
    """The image has the provider and what it needs; duckdb and psutil are tools of developers."""
    blocked = "import sys; sys.modules.update(duckdb=None, psutil=None, hypothesis=None); import demo.lab_tables"
    subprocess.run([sys.executable, "-c", blocked], cwd=ROOT, check=True)
