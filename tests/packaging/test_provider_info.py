"""The provider metadata is valid by Airflow's own schema, complete, and names nothing that is not there."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.sdk import BaseHook, BaseNotifier, BaseOperator, BaseOperatorLink, BaseSensorOperator
from airflow.triggers.base import BaseTrigger

import ddb_export
from ddb_export.get_provider_info import get_provider_info

INFO = get_provider_info()


def modules_of(room: str) -> list[str]:
    """List the public modules of a room of the package, or nothing while the room does not exist."""
    name = f"ddb_export.{room}"
    if find_spec(name) is None:
        return []
    package = importlib.import_module(name)
    if not hasattr(package, "__path__"):
        return [name]
    return sorted(f"{name}.{module.name}" for module in pkgutil.iter_modules(package.__path__) if module.name[0] != "_")


def classes_of(room: str, base: type[Any]) -> list[str]:
    """List the public classes of a room that derive from a base, by full name."""
    return sorted(
        f"{module}.{name}"
        for module in modules_of(room)
        for name, value in vars(importlib.import_module(module)).items()
        if inspect.isclass(value) and issubclass(value, base) and value.__module__ == module and name[0] != "_"
    )


def test_it_is_valid_by_the_schema_that_airflow_checks_at_run_time():
    schema = json.loads((Path(airflow.__path__[0]) / "provider_info.schema.json").read_text())

    jsonschema.validate(INFO, schema)


def test_it_has_what_a_provider_of_airflow_itself_must_declare():
    """Airflow holds its own providers to a stricter schema, of a file that also has facts of their releases."""
    schema = json.loads((Path(airflow.__path__[0]) / "provider.yaml.schema.json").read_text())
    of_a_release = {"state": "ready", "source-date-epoch": 1580601600, "versions": [ddb_export.__version__]}

    jsonschema.validate(INFO | of_a_release, schema)


@pytest.mark.parametrize(
    ("room", "base"),
    [("hooks", BaseHook), ("operators", BaseOperator), ("sensors", BaseSensorOperator), ("triggers", BaseTrigger)],
)
def test_every_module_with_a_class_for_dags_is_listed(room: str, base: type[Any]):
    integrations = {integration["integration-name"] for integration in INFO["integrations"]}
    assert {entry["integration-name"] for entry in INFO[room]} <= integrations

    listed = [module for entry in INFO[room] for module in entry["python-modules"]]

    assert sorted(listed) == sorted({name.rpartition(".")[0] for name in classes_of(room, base)})


@pytest.mark.parametrize(
    ("key", "room", "base"), [("extra-links", "links", BaseOperatorLink), ("notifications", "notifiers", BaseNotifier)]
)
def test_every_class_that_airflow_must_know_by_name_is_listed(key: str, room: str, base: type[Any]):
    assert sorted(INFO[key]) == classes_of(room, base)
