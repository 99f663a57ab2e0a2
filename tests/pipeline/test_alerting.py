"""How late a table is hangs on its ledger alone, and nothing that lies about beside the ledger keeps it from being said."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ddb_export.cli import main
from ddb_export.domain.freshness import Trouble
from ddb_export.domain.incidents import NoticeKind
from ddb_export.domain.notices import Notice
from ddb_export.pipeline.alerting import Watched, check_table
from tests.pipeline.tables import BUCKET, START, LakeTable


@pytest.fixture
def table(lab, account, aws) -> LakeTable:
    """A table with a verified base, six hours after START."""
    made = LakeTable(lab, account, aws)
    made.until(30)
    made.ledger.own(made.arn, made.now)
    made.verified(6)
    return made


def watched(table: LakeTable) -> Watched:
    day = timedelta(days=1)
    places: dict[str, Any] = dict.fromkeys(("bucket_owner", "aws_conn_id", "region", "role_arn"))
    return Watched(
        table.name, table.name, "d", BUCKET, "tables", **places, expected_since=START, sla=day, horizon=day, runbook="r",
        notifiers=(),
    )  # fmt: skip


def troubles(table: LakeTable, told: list[Notice]) -> list[Trouble]:
    return [each.trouble for each in check_table(watched(table), table.store, table.dynamodb, told.append).findings]


@pytest.mark.scenario("F36")
def test_lateness_is_said_although_the_table_is_gone(table, aws):
    told: list[Notice] = []
    aws("dynamodb").update_continuous_backups(
        TableName=table.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    assert troubles(table, told) == [Trouble.RECOVERY_OFF]
    aws("dynamodb").delete_table(TableName=table.name)
    table.until(48)
    checked = check_table(watched(table), table.store, table.dynamodb, told.append)
    assert [each.trouble for each in checked.findings] == [Trouble.LATE, Trouble.UNREADABLE]
    assert checked.age is not None
    assert timedelta(hours=42) <= checked.age < timedelta(hours=43)
    assert "DescribeContinuousBackups" in checked.findings[1].cause
    # Of recovery nothing is known now: that it is off is not over.
    subjects = [notice.subject for notice in told]
    assert subjects == [f"[ddb_export] orders: {each}" for each in ("recovery-off", "late", "unreadable")]


def test_status_shows_the_tables_beside_one_that_cannot_be_looked_at(tmp_path, monkeypatch, capsys):
    declared = (
        "bucket: lake\nprefix: t\ndatabase: lake\nschedule: '@daily'\nstart_date: 2026-03-01\nregion: us-east-1\n"
    )
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yaml").write_text(f"table: table-{name}\nname: {name}\n{declared}")

    def stumbles(table: Any, *_: Any) -> dict[str, Any]:
        unknown = dict.fromkeys(("as_of", "head", "lag_seconds", "sla_seconds", "last_run", "month_usd"))
        good = {**unknown, "table": table.lake.name, "holes": [], "troubles": []}
        if table.lake.name == "b":
            raise KeyError("head")
        return good

    # What nobody foresaw cannot be put into a lake on purpose.
    monkeypatch.setattr("ddb_export.cli.status._looked_at", stumbles)
    assert main(["status", "--tables", str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["tables"]
    assert [(each["table"], len(each["troubles"])) for each in found] == [("a", 0), ("b", 1), ("c", 0)]
    (trouble,) = found[1]["troubles"]
    assert trouble["trouble"] == "unreadable"
    assert "(KeyError: 'head')" in trouble["cause"]


@pytest.mark.scenario("F36")
@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("quarantine/", b""),
        ("quarantine/changes/dt=2026-03-01/export_window=x/g/part", b"{}"),
        ("ledger/incidents/late.json", b'{"trouble": "late"}'),
        ("ledger/incidents/late.json", b"half"),
        ("ledger/volumes.json", b'{"volumes": []}'),
        ("ledger/volumes.json", b"half"),
        ("ledger/volumes.json", b'{"head": "soon", "volumes": 3}'),
    ],
)
def test_a_stray_or_damaged_object_keeps_nothing_from_being_told(table, key, content):
    told: list[Notice] = []
    table.until(48)
    table.store.put(table.ledger.lake.key(key), content)
    for _ in range(2):
        assert troubles(table, told) == [Trouble.LATE]
    assert [notice.subject for notice in told] == ["[ddb_export] orders: late"]


def test_what_is_muted_while_it_lasts_is_not_said_to_be_over(table, aws):
    told: list[Notice] = []
    aws("dynamodb").update_continuous_backups(
        TableName=table.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    assert troubles(table, told) == [Trouble.RECOVERY_OFF]
    muted = replace(watched(table), mute=("recovery-off",))
    assert check_table(muted, table.store, table.dynamodb, told.append).findings == ()
    assert [notice.kind for notice in told] == [NoticeKind.ALERT]


def test_a_snapshot_that_recovery_has_passed_is_no_claim_that_waits(table, aws):
    table.ledger.claim([replace(table.wanted(29), beside_chain=True)], table.table_id, table.now)
    aws("dynamodb").update_continuous_backups(
        TableName=table.name,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 1},
    )
    table.until(38)
    assert Trouble.CLAIM_WAITS in troubles(table, [])
    told: list[Notice] = []
    table.until(60)
    assert Trouble.CLAIM_WAITS not in troubles(table, told)
    over = "[ddb_export] orders: claim-waits (over)"
    assert [notice.subject for notice in told if "claim-waits" in notice.subject] == [over]
