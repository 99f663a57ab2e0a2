"""``from ddb_export import …`` holds every public name: it resolves, is documented, and costs nothing before its use."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import ddb_export
from ddb_export import _PUBLIC_NAMES

ROOT = Path(__file__).resolve().parents[2]
NEVER_AT_PARSE_TIME = {"duckdb", "pyarrow", "pyiceberg"}
PARSED = ["ddb_export", "dag_factory", "hooks", "links", "operators", "plugin", "sensors", "triggers"]
"""What a DAG file or Airflow's own components import while they parse; rooms that do not exist yet are left out."""


@pytest.mark.parametrize("name", [name for name in ddb_export.__all__ if not name.startswith("__")])
def test_a_public_name_resolves_to_something_documented(name: str):
    value = getattr(ddb_export, name)

    assert name in dir(ddb_export)
    assert inspect.getdoc(value)
    if inspect.isclass(value):
        assert value.__doc__, "a docstring of its own, not its parent's"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no public name 'Nonsense'"):
        _ = ddb_export.Nonsense


def test_type_checkers_see_the_names_that_are_loaded_lazily():
    tree = ast.parse(Path(ddb_export.__file__).read_text())
    seen: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ddb_export."):
            seen.setdefault(node.module, set()).update(alias.asname or "" for alias in node.names)

    assert seen == {module: set(names) for module, names in _PUBLIC_NAMES.items()}


def test_every_exception_is_public():
    from ddb_export import exceptions

    errors = {
        name for name, value in vars(exceptions).items() if inspect.isclass(value) and issubclass(value, Exception)
    }

    assert errors <= set(ddb_export.__all__)


def test_what_airflow_imports_while_parsing_loads_no_data_library():
    rooms = [name if name == "ddb_export" else f"ddb_export.{name}" for name in PARSED]
    present = [room for room in rooms if find_spec(room)]
    program = f"""
import importlib, json, pkgutil, sys
for room in {present!r}:
    package = importlib.import_module(room)
    if room != "ddb_export":
        for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
            importlib.import_module(f"{{room}}.{{module.name}}")
print(json.dumps(sorted(sys.modules)))
"""
    shown = subprocess.run([sys.executable, "-c", program], cwd="/", capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(shown.stdout.splitlines()[-1])}

    assert loaded & NEVER_AT_PARSE_TIME == set()


def test_the_package_alone_loads_the_standard_library_only():
    program = "import sys, ddb_export; print([m for m in sys.modules if m.split('.')[0] == 'airflow' or 'boto' in m])"
    shown = subprocess.run([sys.executable, "-c", program], cwd="/", capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
