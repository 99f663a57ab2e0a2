"""docker-compose.yaml: valid by the Compose specification, safe, and made of settings that Airflow has.

No container engine is asked; what only one can tell is in the page docs/docker-compose.md.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement

from demo.cloud import ACCOUNT, REGION
from scripts.environment import project_table

ROOT = Path(__file__).parents[2]
DCLINT = "https://registry.npmjs.org/dclint/-/dclint-3.1.0.tgz"
DCLINT_SHA512 = "afTGdzRFUXK4yCpIiEW/LOR+9TOMEDhNldDp56VCWzn7JDmD451PcUi640GGlMHgbHKJ10rDBm4PtpcBbjqlXw=="
SCHEMA = "package/schemas/compose.schema.json"
SECRETS = {
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_API_SECRET_KEY",
    "AIRFLOW_ADMIN_PASSWORD",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
}
ONCE = {"migrate", "lab-tables"}
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<rule>:[-?][^}]*)?\}")


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(text)
    return parsed


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The specification's schema, from the archive of a linter that carries it."""
    answer = httpx.get(DCLINT, timeout=60, follow_redirects=True)
    answer.raise_for_status()
    assert base64.b64encode(hashlib.sha512(answer.content).digest()).decode() == DCLINT_SHA512
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        member = archive.extractfile(SCHEMA)
        assert member is not None
        parsed: dict[str, Any] = json.load(member)
    return parsed


def airflow_services(compose: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, service in compose["services"].items():
        if service["image"].startswith("ddb-export-airflow"):
            yield name, service


def stages() -> dict[str, tuple[str, str]]:
    """For each stage of the Dockerfile the image that it begins with, and its text."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    found = re.findall(r"(?ms)^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", dockerfile)
    return {name: (image, text) for image, name, text in found}


def user_of(service: dict[str, Any]) -> str:
    """Who a service runs as: the file says it, or the last USER of the stage that is built for it."""
    if "user" in service:
        return str(service["user"])
    _, stage = stages()[service["build"]["target"]]
    return re.findall(r"(?m)^USER (\S+)", stage)[-1]


def test_it_is_valid_by_the_specification(compose, schema):
    jsonschema.Draft7Validator(schema).validate(compose)
    wrong = {**compose, "services": {**compose["services"], "redis": {"imagee": "redis"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(wrong)


def test_each_image_that_is_made_here_is_built_by_one_service_and_looked_for_in_no_registry(compose):
    # Two that build one tag: Compose exports it twice at once, and one fails with "already exists".
    built = [service["image"] for service in compose["services"].values() if "build" in service]
    made_here = {service["image"] for service in compose["services"].values() if service["image"].startswith("ddb-")}
    assert len(built) == len(set(built))
    assert set(built) == made_here
    for name, service in compose["services"].items():
        assert (service.get("pull_policy") == "never") == (service["image"] in made_here), name
    assert all("migrate" in service["depends_on"] for name, service in airflow_services(compose) if name not in ONCE)


def test_files_with_secrets_are_not_committed(compose):
    named = {each["path"] for _, service in airflow_services(compose) for each in service["env_file"]}
    assert named == {"airflow.env"}
    assert all(each == {"path": "airflow.env", "required": False} for each in compose["x-airflow"]["env_file"])
    for name in (".env", *named):
        subprocess.run(["git", "check-ignore", "--quiet", "--no-index", name], cwd=ROOT, check=True)
        assert f"!{name}" not in (ROOT / ".dockerignore").read_text()


def test_every_secret_comes_from_the_environment_and_has_no_default(text, compose):
    rules: dict[str, set[str]] = {}
    for found in VARIABLE.finditer(text):
        rules.setdefault(found["name"], set()).add((found["rule"] or "")[:2])
    assert {name for name, kinds in rules.items() if ":-" not in kinds} == SECRETS
    assert all(":?" in rules[name] and ":-" not in rules[name] for name in SECRETS)
    sample = (ROOT / ".env.sample").read_text()
    passed_on = {name for name, value in compose["x-airflow"]["environment"].items() if value is None}
    assert set(re.findall(r"(?m)^#?([A-Z][A-Z_]*)=", sample)) == set(rules) | passed_on
    assert set(re.findall(r"(?m)^([A-Z_]+)=$", sample)) == SECRETS
    assert "password" not in json.dumps(compose["services"]["postgres"]).replace("POSTGRES_PASSWORD", "").lower()


def test_everything_is_pinned_bounded_watched_and_not_root(compose):
    for name, service in compose["services"].items():
        # PostgreSQL's whole version has two numbers.
        numbers = 2 if service["image"].startswith("postgres:") else 3
        assert re.search(rf":\d+(\.\d+){{{numbers - 1}}}(-|$)", service["image"]), name
        assert not user_of(service).startswith(("0", "root")), name
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"]), name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        assert ("healthcheck" in service) != (name in ONCE), name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
    for name, service in airflow_services(compose):
        assert service["user"] == "${AIRFLOW_UID:-50000}:0", name
    assert {name for name, _ in airflow_services(compose)} == {
        "migrate", "api-server", "scheduler", "dag-processor", "triggerer", "worker", "lab-tables",
    }  # fmt: skip


def test_the_lab_comes_with_its_profile_only(compose):
    with_profile = {name for name, service in compose["services"].items() if service.get("profiles") == ["lab"]}
    assert with_profile == {"lab", "lab-tables"}
    connection = json.loads(compose["x-airflow"]["environment"]["AIRFLOW_CONN_LAB"])
    assert (connection["login"], connection["extra"]["region_name"]) == (ACCOUNT, REGION)
    port = connection["extra"]["endpoint_url"].removeprefix("http://lab:")
    assert port in compose["services"]["lab"]["command"]


def test_the_lab_does_not_come_back_empty_and_any_user_may_write_its_bundle(compose):
    assert compose["services"]["lab"]["restart"] == "no"
    folder = next(each.split(":")[1] for each in compose["x-airflow"]["volumes"] if each.startswith("lab-bundle:"))
    assert f"chmod g+rwX {folder}" in (ROOT / "Dockerfile").read_text()


def test_airflow_knows_every_setting(compose):
    import airflow.config_templates

    options = yaml.safe_load((Path(airflow.config_templates.__file__).parent / "config.yml").read_text())
    names = [name for name in compose["x-airflow"]["environment"] if name.startswith("AIRFLOW__")]
    assert len(names) > 10
    for name in names:
        section, option = name.removeprefix("AIRFLOW__").lower().split("__")
        if section != "celery":  # that provider is in the image, not here
            assert option in options[section]["options"], name


def test_bundles_are_where_the_volumes_are(compose):
    environment, volumes = compose["x-airflow"]["environment"], compose["x-airflow"]["volumes"]
    bundles = json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    mounted = {volume.split(":")[1] for volume in volumes}
    assert {bundle["kwargs"]["path"] for bundle in bundles} <= mounted
    assert {volume.split(":")[0] for volume in volumes if not volume.startswith(".")} <= set(compose["volumes"])


def test_the_image_takes_what_this_project_needs_at_the_tested_versions_and_no_more():
    pinned = {line.split("==")[0] for line in (ROOT / "constraints/constraints-3.12.txt").read_text().splitlines()}
    _, stage = stages()["airflow"]
    (listed,) = re.findall(r'(?m)^ARG OURS="(.+)"$', stage)
    ours = set(listed.split("|"))
    assert ours <= pinned
    needed = {Requirement(each).name for each in project_table()["dependencies"]}
    # These the image has in a version that will do: Airflow itself needs them.
    assert needed - ours == {"apache-airflow", "croniter", "pydantic", "PyYAML"}
    assert "--constraint /tmp/ours.txt" in stage
    assert stage.index("pip install") < stage.index("&& pip check")
    _, wheel = stages()["wheel"]
    assert "--constraint constraints.txt hatchling" in wheel
    assert "--no-build-isolation" in wheel


def test_images_have_the_versions_that_are_tested(compose):
    dockerfile = (ROOT / "Dockerfile").read_text()
    for name, (image, _) in stages().items():
        assert re.search(r":\d+\.\d+\.\d+-", image.replace("${AIRFLOW_VERSION}", version("apache-airflow"))), name
    assert f"ARG AIRFLOW_VERSION={version('apache-airflow')}\n" in dockerfile
    assert all(service["image"].endswith(f":{version('apache-airflow')}") for _, service in airflow_services(compose))
    (python,) = set(re.findall(r"constraints-(\d\.\d+)\.txt", dockerfile))
    assert f"-python{python}" in dockerfile
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = re.findall(r"(?m)^COPY (?!--from)(?:--chown=\S+ )?(.+) \S+$", dockerfile)
    assert {name.split("/")[0] for names in copied for name in names.split()} <= allowed
