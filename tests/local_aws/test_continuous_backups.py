"""Point-in-time recovery and its restorable times."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError


def recovery_of(exporting):
    answer = exporting.dynamodb.describe_continuous_backups(TableName=exporting.table)
    assert answer["ContinuousBackupsDescription"]["ContinuousBackupsStatus"] == "ENABLED"
    return answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]


def test_restorable_times(exporting, at):
    exporting.lab.set_clock(at(60), exporting.account)
    recovery = recovery_of(exporting)
    assert recovery["EarliestRestorableDateTime"] == at(0)
    assert 0 <= (recovery["LatestRestorableDateTime"] - at(55)).total_seconds() < 30
    assert recovery["RecoveryPeriodInDays"] == 35


def test_off_and_on_starts_again(exporting, at):
    exporting.lab.set_clock(at(60), exporting.account)
    assert exporting.recovery(enabled=False) == {"PointInTimeRecoveryStatus": "DISABLED"}
    assert recovery_of(exporting) == {"PointInTimeRecoveryStatus": "DISABLED"}
    exporting.lab.set_clock(at(120), exporting.account)
    restarted = exporting.recovery(enabled=True)["EarliestRestorableDateTime"]
    assert 0 <= (restarted - at(120)).total_seconds() < 30
    exporting.lab.set_clock(at(180), exporting.account)
    assert exporting.recovery(enabled=True)["EarliestRestorableDateTime"] == restarted


def test_a_shorter_period_cuts_and_a_longer_one_rolls(exporting, at):
    day = 24 * 60
    exporting.lab.set_clock(at(20 * day), exporting.account)
    cut = exporting.recovery(enabled=True, RecoveryPeriodInDays=5)["EarliestRestorableDateTime"]
    assert 0 <= (cut - at(15 * day)).total_seconds() < 30
    kept = exporting.recovery(enabled=True, RecoveryPeriodInDays=35)["EarliestRestorableDateTime"]
    assert 0 <= (kept - cut).total_seconds() < 30
    exporting.recovery(enabled=True, RecoveryPeriodInDays=5)
    exporting.lab.set_clock(at(25 * day), exporting.account)
    rolled = exporting.recovery(enabled=True, RecoveryPeriodInDays=35)["EarliestRestorableDateTime"]
    assert 0 <= (rolled - at(20 * day)).total_seconds() < 30
    exporting.lab.set_clock(at(30 * day), exporting.account)
    assert recovery_of(exporting)["EarliestRestorableDateTime"] == rolled
    exporting.lab.set_clock(at(60 * day), exporting.account)
    assert recovery_of(exporting)["EarliestRestorableDateTime"] >= at(25 * day)


def test_the_period_is_bounded(exporting):
    with pytest.raises(ClientError, match="Member must have value less than or equal to 35"):
        exporting.recovery(enabled=True, RecoveryPeriodInDays=36)


def test_a_missing_table(exporting):
    with pytest.raises(ClientError, match="Table not found: missing") as caught:
        exporting.dynamodb.describe_continuous_backups(TableName="missing")
    assert caught.value.response["Error"]["Code"] == "TableNotFoundException"
