"""The state of all tables on one screen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ddb_export.cli import main
from ddb_export.domain.layout import Lake
from ddb_export.pipeline.ledger import Ledger
from tests.pipeline.tables import LakeTable

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def table(lab, account, aws, monkeypatch: pytest.MonkeyPatch) -> LakeTable:
    """Table orders that is complete to 2026-03-02, table users that has no base, and the credentials of its account in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    made = LakeTable(lab, account, aws, name="users")
    made.name = "orders"
    made.create()
    made.ledger = Ledger(made.store, Lake("lake", "tables", "orders"))
    made.put(1, "a")
    made.until(30)
    made.ledger.own(made.arn, made.now)
    made.verified(6)
    made.verified(6, 24)
    return made


@pytest.fixture
def status(lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command over two tables; give the exit code and both streams."""

    def run(*arguments: str, sla: str = "26h") -> tuple[int, str, str]:
        for name in ("orders", "users"):
            (tmp_path / f"{name}.yaml").write_text(
                f"table: {name}\nbucket: lake\nprefix: tables\ndatabase: lake\nschedule: '@daily'\n"
                f"start_date: 2026-03-01\nregion: us-east-1\nsla: {sla}\n"
            )
        code = main(["status", *arguments, "--tables", str(tmp_path), "--endpoint-url", lab.endpoint_url])
        return (code, *capsys.readouterr())

    return run


@pytest.mark.scenario("F36")
def test_late_and_never_begun(table, status):
    table.until(9.5 * 24)
    code, out, err = status()
    assert code == 1
    head, _, orders, cause, users, other_cause = out.splitlines()
    assert head.startswith("as of 2026-03-10T12:00:")
    assert head.endswith("Z, 2 tables")
    words = orders.split()
    assert words[:7] == ["orders", "late", "2026-03-02T00:00:00Z", "8", "d", "12", "h"]
    assert words[-3:] == ["0", "0.00", "USD"]
    assert users.split()[:3] == ["users", "no-base", "-"]
    assert "table orders: the data is complete to 2026-03-02T00:00:00Z" in err
    assert cause.startswith("    the data is complete to 2026-03-02T00:00:00Z, ")
    assert other_cause.startswith("    it has no verified base ")


def test_fresh(table, status):
    code, out, err = status("orders", "--json", sla="365d")
    assert (code, err) == (0, "")
    (found,) = json.loads(out)["tables"]
    assert (found["head"], found["troubles"], found["holes"]) == ("2026-03-02T00:00:00Z", [], [])
    assert found["as_of"].startswith("2026-03-02T06:00:")
    assert found["lag_seconds"] // 60 == 6 * 60
    assert (found["last_run"]["kind"], found["last_run"]["export"]) == ("window", "20260301T0600Z-20260302T0000Z-a1")
    assert found["last_run"]["verified_at"].startswith("2026-03-02T06:00:")
    assert found["sla_seconds"] == 365 * 86_400


def test_recovery_that_is_off_or_cannot_be_asked_for(table, status):
    def troubles(*arguments: str) -> list[str]:
        return [each["trouble"] for each in json.loads(status(*arguments, "--json")[1])["tables"][0]["troubles"]]

    table.until(34.5 * 24)
    assert troubles("orders") == ["late", "horizon"]
    assert troubles("s3://lake/tables/orders") == ["horizon"]
    table.aws("dynamodb").update_continuous_backups(
        TableName="orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    assert troubles("orders") == ["recovery-off", "late"]
    table.lab.deny(table.account, "dynamodb:*")
    assert troubles("orders") == ["unreadable", "late"]


def test_a_mistake_in_one_file_hides_no_other_table(table, status, tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("tabel: broken\n")
    code, out, err = status(sla="365d")
    assert code == 1
    assert [line.split()[:2] for line in out.splitlines()[2:4]] == [["orders", "ok"], ["users", "ok"]]
    assert f"  configuration: {broken}:1:1: unknown key 'tabel'" in out
    assert f"{broken}:1:1: unknown key 'tabel'" in err
    assert status("orders", sla="365d")[0] == 0
    assert status("broken")[0] == 2


def test_a_lake_that_cannot_be_read_is_a_state(table, status):
    table.lab.deny(table.account, "s3:*")
    code, out, err = status("orders")
    assert code == 1
    assert out.splitlines()[2].split()[:2] == ["orders", "unreadable"]
    assert "Remedy: " in err


def test_what_was_typed_wrongly(table, status):
    code, _, err = status("ordrs")
    assert (code, "did you mean orders?" in err) == (2, True)
    code, _, err = status("--watch", "soon")
    assert (code, "is no number of seconds" in err) == (2, True)
