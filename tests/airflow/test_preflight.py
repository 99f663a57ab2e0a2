"""The doctor as a task of one's own DAG."""

from __future__ import annotations

from typing import Any

import pytest

from ddb_export.cli.doctor import declared_of
from ddb_export.config.model import TableConfiguration
from ddb_export.domain.doctor import TableFacts
from ddb_export.domain.doctor_grants import policy_subject, required_grants
from ddb_export.operators.preflight import PreflightOperator
from tests.airflow.airflow_runs import run_manually

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


def preflight(table, **parameters: Any):
    """Run the operator alone in a DAG."""
    with table.own_dag() as dag:
        PreflightOperator(
            task_id="preflight", table=table.name, **{"database": "lake", "schedule": "@daily", **parameters}
        )
    return run_manually(dag)


def test_preflight_returns_its_findings(table):
    run = preflight(table)
    assert (run.state, run.failures) == ("success", [])
    findings = {each["check"]: each["level"] for each in run.xcom("preflight")}
    assert findings["recovery"] == findings["bucket"] == findings["database"] == "ok"
    assert "fail" not in findings.values()


@pytest.mark.scenario("F42")
def test_preflight_fails_with_the_first_remedy(table):
    run = preflight(table, database="nowhere", kms_key="11111111-2222-3333-4444-555555555555")
    assert run.state == "failed"
    words = run.error("preflight")
    assert "kms key" in words
    assert "(and 1 more, see the log)" in words


ENTITIES = {"entities": {"attribute": "kind", "tables": {"customer": {"equals": "C"}}}}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "raw alone": {"outputs": ["raw"]},
    "everything": {"outputs": ["raw", "snapshots", "changes"], "views": True, "partition_index": True},
    "entities": {"views": True, "contract": ENTITIES, "output_location": "s3://results/athena/", "workgroup": "lake"},
    "tagged": {"retention": {"raw": {"keep": "90d"}, "object_tags": {"team": "shop"}}},
    "another account's bucket and key": {"bucket_owner": "999988887777", "kms_key": "alias/lake"},
}


@pytest.mark.parametrize("parameters", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_preflight_asks_for_the_grants_that_the_doctor_asks_for(parameters):
    document = {
        key: value
        for key, value in parameters.items()
        if key not in ("partition_index", "output_location", "workgroup")
    }
    athena = {key: parameters[key] for key in ("output_location", "workgroup") if key in parameters}
    configured = TableConfiguration.model_validate(
        {
            "table": "my.Orders",
            "bucket": "lake",
            "prefix": "tables",
            "database": "lake",
            "schedule": "@daily",
            "start_date": "2026-03-01",
            **document,
            "athena": athena,
            "glue": {"partition_index": parameters.get("partition_index", False)},
        }
    )
    operator = PreflightOperator(
        task_id="preflight",
        table="my.Orders",
        bucket="lake",
        prefix="tables",
        lake_name="my.Orders",
        database="lake",
        schedule="@daily",
        **parameters,
    )
    table = TableFacts("arn:aws:dynamodb:us-east-1:111122223333:table/my.Orders", "ACTIVE", 0)
    asked = list(required_grants(operator.declared, table))
    assert asked == list(required_grants(declared_of(configured), table))
    assert policy_subject(operator.declared, table) == policy_subject(declared_of(configured), table)
    assert operator.declared.retention == declared_of(configured).retention
    shown = tuple(configured.glue_tables[each] for each in configured.view_names) if configured.views else ()
    assert declared_of(configured).views == shown
    views = [grant.resource for grant in asked if grant.resource.endswith("/my_orders_customer")]
    assert bool(views) is ("contract" in parameters)
