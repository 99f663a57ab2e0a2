"""What ``make sbom`` writes into the document that cyclonedx-py made: which wheel it is about, and what that wheel requires."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from scripts.environment import StepError, project_table
from scripts.sbom import name_the_wheel

REQUIRED = [
    "apache-airflow==3.3.2",
    "apache-airflow-providers-amazon==9.39.0",
    "boto3==1.43.117",
    "croniter==6.0.0",
    "isal==1.8.0",
    "msgspec==0.20.0",
    "orjson==3.11.4",
    "pyarrow==22.0.0",
    "pydantic==2.12.4",
    "PyYAML==6.0.3",
]


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "airflow_provider_ddb_export-1.2.3-py3-none-any.whl"
    path.write_bytes(b"a wheel")
    return path


def document(folder: Path, required: list[str]) -> Path:
    """Write what cyclonedx-py makes of pyproject.toml: no version, and the optional groups beside what is required."""
    file = folder / "sbom.cdx.json"
    about = {"bom-ref": "root-component", "name": "airflow-provider-ddb-export", "type": "library"}
    dependencies = [
        {"ref": "boto3==1.43.117", "dependsOn": ["botocore==1.43.117"]},
        {"ref": "root-component", "dependsOn": [*required, "pytest==9.0.1", "boto3-stubs==1.43.0"]},
    ]
    file.write_text(json.dumps({"metadata": {"component": about}, "dependencies": dependencies}))
    return file


def test_it_names_the_wheel_by_version_address_and_digest(wheel: Path, tmp_path: Path):
    file = document(tmp_path, REQUIRED)
    name_the_wheel(file, wheel)

    about: dict[str, Any] = json.loads(file.read_text())["metadata"]["component"]
    assert about["version"] == "1.2.3"
    assert about["purl"] == "pkg:pypi/airflow-provider-ddb-export@1.2.3"
    assert about["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(b"a wheel").hexdigest()}]


def test_the_wheel_depends_on_what_it_requires_and_on_no_tool(wheel: Path, tmp_path: Path):
    file = document(tmp_path, REQUIRED)
    name_the_wheel(file, wheel)

    of = {part["ref"]: part["dependsOn"] for part in json.loads(file.read_text())["dependencies"]}
    assert of == {"root-component": REQUIRED, "boto3==1.43.117": ["botocore==1.43.117"]}
    assert len(REQUIRED) == len(project_table()["dependencies"])


def test_a_requirement_that_the_document_lacks_is_an_error(wheel: Path, tmp_path: Path):
    without = [name for name in REQUIRED if not name.startswith("PyYAML")]

    with pytest.raises(StepError, match=r"pyyaml not among .* Remedy: "):
        name_the_wheel(document(tmp_path, without), wheel)
