"""What OpenLineage hears of a run: real events of its provider, each valid by OpenLineage's own schemas, and no item data in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from ddb_export import DynamoDBExportOperator
from ddb_export.domain.utc import compact
from tests.airflow.runs import HOUR, make_table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "lineage.md").read_text(encoding="utf-8")
SCHEMAS = [json.loads(path.read_text()) for path in (ROOT / "tests" / "fixtures" / "openlineage").glob("*.json")]
REGISTRY: Registry = Registry().with_resources([(each["$id"], Resource.from_contents(each)) for each in SCHEMAS])
VALUES = {"_producer", "_schemaURL"}


def run(table, start, end, events, changes):
    """Run the table's DAG in a process of its own; return what it says of the run, and OpenLineage's events."""
    extra = {"region_name": "us-east-1", "endpoint_url": table.lab.endpoint_url}
    request = {
        "declaration": {**table.configuration, "retries": 0, **changes},
        "connection": {"conn_type": "aws", "login": table.account, "password": "lab-secret", "extra": extra},
        "interval": [start, end],
    }
    answer = subprocess.run(
        [sys.executable, "-m", "tests.airflow.lineage_run", str(events)],
        input=json.dumps(request, default=str),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    (said,) = (line for line in answer.stdout.splitlines() if line.startswith('{"state"'))
    return json.loads(said), [json.loads(line) for line in events.read_text().splitlines()]


def require_valid(event):
    """Check an event, and each facet in it by the schema that it names."""
    for url, what in [(event["schemaURL"], event), *facets(event)]:
        validator = Draft202012Validator(
            {"$ref": url}, registry=REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        assert [error.message for error in validator.iter_errors(what)] == [], url


def facets(document):
    """Return the facets in a document, each with the address of its schema."""
    if isinstance(document, list):
        return [found for each in document for found in facets(each)]
    if not isinstance(document, dict):
        return []
    own = [(document["_schemaURL"], document)] if "_schemaURL" in document else []
    return own + [found for each in document.values() for found in facets(each)]


def datasets(event, side):
    """Return namespace and name of the datasets of an event."""
    return [(each["namespace"], each["name"]) for each in event[side]]


def shape(document):
    """Return a document without its values, and without who made it."""
    if isinstance(document, dict):
        return {name: shape(value) for name, value in document.items() if name not in VALUES}
    return [shape(document[0])] if isinstance(document, list) and document else type(document).__name__


@pytest.fixture(scope="module")
def told(tmp_path_factory, lab):
    """The events of a run with a base and two windows, of which the export of the first one FAILED."""
    import boto3

    account = "565656565656"
    session = boto3.Session(aws_access_key_id=account, aws_secret_access_key="lab", region_name="us-east-1")
    table = make_table(lab, account, lambda name: session.client(name, endpoint_url=lab.endpoint_url), "lab")
    m = table.midnights
    table.write(m[0] + HOUR, {"id": {"S": "a"}, "note": {"S": "never told"}}, {"id": {"S": "b"}})
    table.write(m[2] + HOUR, {"id": {"S": "a"}, "note": {"S": "never told either"}})
    table.now()
    first = {"prefix": f".*/raw/{compact(m[1])}.*"}
    lab.add_fault("fail_export", account=account, match=first, code="InternalServerError")
    outputs = ["snapshots", "changes", "raw"]
    yield (
        table,
        *run(table, m[2], m[3], tmp_path_factory.mktemp("lineage") / "events", {"base_time": m[1], "outputs": outputs}),
    )
    lab.reset(account)


def ended(told, task):
    """Return the last events of the instances of a task, in order."""
    return [event for event in told[2] if event["job"]["name"].endswith(f".{task}") and event["eventType"] != "START"]


def test_every_event_is_valid_and_tells_no_item_and_no_credential(told):
    _, said, events = told
    assert said["failed"] == ["window.export[0]", "check"]
    for event in events:
        require_valid(event)
    moved = [event["job"]["name"].split(".", 1)[1] for event in events if event["inputs"] and event["outputs"]]
    assert sorted(set(moved)) == ["convert", "export_base", "publish", "register_raw", "window.export"]
    text = json.dumps(events)
    assert [word for word in ("never told", "lab-secret") if word in text] == []


def test_a_schema_that_is_not_kept_here_or_a_wrong_facet_is_noticed(told):
    (event,) = ended(told, "publish")
    event = json.loads(json.dumps(event))
    event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] = "many"
    with pytest.raises(AssertionError, match="OutputStatistics"):
        require_valid(event)


def test_from_the_table_to_raw_to_files_to_the_catalog(told):
    table, _, _ = told
    source = ("arn:aws:dynamodb:us-east-1:565656565656", f"table/{table.name}")
    bucket, catalog = f"s3://{table.bucket}", "arn:aws:glue:us-east-1:565656565656"
    folder = f"lake/{table.name}"
    (base,) = ended(told, "export_base")
    assert (datasets(base, "inputs"), datasets(base, "outputs")) == ([source], [(bucket, f"{folder}/raw")])
    assert base["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert "/export/" in base["run"]["facets"]["externalQuery"]["externalQueryId"]

    failed, well = sorted(ended(told, "window.export"), key=lambda event: event["eventType"], reverse=True)
    assert (failed["eventType"], well["eventType"]) == ("FAIL", "COMPLETE")
    assert datasets(failed, "inputs") == datasets(well, "inputs") == [source]
    assert list(failed["outputs"][0]["outputFacets"]) == ["subset"], "it is not said that anything was written"

    snapshots, changes = ended(told, "convert")
    assert [datasets(event, "outputs") for event in (snapshots, changes)] == [
        [(bucket, f"{folder}/snapshots")],
        [(bucket, f"{folder}/changes")],
    ]
    (publish,) = ended(told, "publish")
    assert datasets(publish, "inputs") == [(bucket, f"{folder}/raw")]
    assert datasets(publish, "outputs") == [
        (catalog, f"table/lake/{table.name}_{output}") for output in ("snapshots", "changes")
    ]
    written = publish["outputs"][1]
    evidence = [table.document(key) for key in table.keys("ledger/published/changes/")]
    statistics = written["outputFacets"]["outputStatistics"]
    assert [statistics[name] for name in ("rowCount", "fileCount", "size")] == [
        evidence[0][name] for name in ("rows", "files", "output_bytes")
    ]
    fields = {field["name"]: field["type"] for field in written["facets"]["schema"]["fields"]}
    columns = table.aws("glue").get_table(DatabaseName="lake", Name=f"{table.name}_changes")["Table"]
    stored = [*columns["StorageDescriptor"]["Columns"], *columns["PartitionKeys"]]
    assert fields == {column["Name"]: column["Type"] for column in stored}
    (alias,) = written["facets"]["symlinks"]["identifiers"]
    assert (alias["namespace"], alias["name"]) == (bucket, f"{folder}/changes")
    (raw,) = ended(told, "register_raw")
    assert datasets(raw, "outputs") == [
        (catalog, f"table/lake/{table.name}_raw_{output}") for output in ("snapshots", "changes")
    ]


def test_the_pages_event_has_the_form_of_a_real_one(told):
    shown = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    (real,) = ended(told, "publish")
    assert shape(shown) == shape({"inputs": real["inputs"], "outputs": real["outputs"][1:]})


def test_an_operator_that_has_moved_nothing_tells_of_nothing():
    operator = DynamoDBExportOperator(task_id="export", table="orders", bucket="lake", prefix="", lake_name="orders")
    lineage = operator.get_openlineage_facets_on_complete(None)
    assert (lineage.inputs, lineage.outputs, lineage.run_facets) == ([], [], {})
