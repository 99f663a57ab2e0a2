"""Airflow finds one plugin without an error, installed as a wheel, laid into the plugins folder, or both at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.airflow_environment import ROOT, AirflowEnvironment, build_wheel

# One process, because starting Airflow's command line costs seconds: the command itself, then what it does not show.
PLUGINS_COMMAND = """
import contextlib, io, json, sys
from airflow.__main__ import main
sys.argv = ["airflow", "plugins", "--output", "json"]
with contextlib.redirect_stdout(io.StringIO()) as shown:
    main()
import airflow.plugins_manager, airflow.sdk.plugins_manager
core, core_errors = airflow.plugins_manager._get_plugins()
sdk, sdk_errors = airflow.sdk.plugins_manager._get_plugins()
import ddb_export.plugin
print(json.dumps({
    "listed": json.loads(shown.getvalue()),
    "errors": {**core_errors, **sdk_errors},
    "core": [plugin.name for plugin in core],
    "sdk": [plugin.name for plugin in sdk],
    "one_class": all(type(plugin) is ddb_export.plugin.DdbExportPlugin
                     for plugin in [*core, *sdk] if plugin.name == "ddb_export"),
    "package": ddb_export.plugin.__file__,
    "top_level": [name for name, module in sys.modules.items()
                  if "." not in name and (getattr(module, "__file__", None) or "").startswith(sys.argv_plugins)],
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def discover(folder: Path, wheel: Path | None, plugins_folder: Path | None) -> dict[str, Any]:
    environment = AirflowEnvironment(folder, wheel=wheel, plugins_folder=plugins_folder)
    program = f"import sys; sys.argv_plugins = {str(ROOT / 'plugins')!r}\n{PLUGINS_COMMAND}"
    found: dict[str, Any] = environment.json(program)
    assert found["errors"] == {}
    assert found["core"].count("ddb_export") == 1
    assert found["sdk"].count("ddb_export") == 1
    assert found["one_class"]
    (found["row"],) = [row for row in found["listed"] if row["name"] == "ddb_export"]
    return found


def test_the_wheel_alone_gives_one_plugin(tmp_path: Path, wheel: Path):
    found = discover(tmp_path, wheel, None)

    assert found["row"]["source"].startswith("airflow-provider-ddb-export==")
    assert found["top_level"] == []


def test_the_folder_alone_gives_one_plugin_through_one_file(tmp_path: Path):
    found = discover(tmp_path, None, ROOT / "plugins")

    assert found["row"]["source"] == "$PLUGINS_FOLDER/ddb_export/plugin.py"
    assert found["package"].startswith(str(ROOT / "plugins"))
    assert sorted(found["top_level"]) == ["ddb_export", "plugin"]


def test_wheel_and_folder_together_give_one_plugin(tmp_path: Path, wheel: Path):
    found = discover(tmp_path, wheel, ROOT / "plugins")

    assert found["row"]["source"].startswith("airflow-provider-ddb-export==")
    assert "site-packages" in found["package"]
    assert found["top_level"] == ["plugin"]


def test_the_provider_is_listed_with_its_version(tmp_path: Path, wheel: Path):
    environment = AirflowEnvironment(tmp_path, wheel=wheel, plugins_folder=None)
    shown = environment.run(
        "import sys; from airflow.__main__ import main; sys.argv = ['airflow', 'providers', 'list', '-o', 'json']; main()"
    )

    providers = json.loads(shown.stdout.strip().splitlines()[-1])
    (ours,) = [row for row in providers if row["package_name"] == "airflow-provider-ddb-export"]
    assert ours["version"] == wheel.name.split("-")[1]
    assert "ddb_export" not in shown.stderr
