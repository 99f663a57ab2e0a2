"""Point-in-time recovery: DescribeContinuousBackups and UpdateContinuousBackups with their restorable times.

Facts (botocore model; Developer Guide, PointInTimeRecovery): RecoveryPeriodInDays 1 to 35, default 35; the latest
restorable time is five minutes ago; ContinuousBackupsStatus is always ENABLED; a longer period rolls forward, a
shorter one cuts at once; switching recovery off and on again restarts the earliest restorable time; a table that was
deleted and made again has another TableId and no recovery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local_aws import hooks
from local_aws.clock import DAY, MINUTE, SECOND, Clock, whole_seconds
from local_aws.tables import Answer, ApiError, json_answer, table_named

DEFAULT_PERIOD_DAYS = 35
LATEST_RESTORABLE_LAG = 5 * MINUTE


@dataclass
class Recovery:
    """Recovery that is switched on for one table; ``earliest`` in microseconds, as of the last look."""

    earliest: int
    period_days: int

    def earliest_restorable(self, now: int) -> int:
        """The earliest restorable time at ``now``: it never moves back, and forward with the recovery period."""
        self.earliest = max(self.earliest, whole_seconds(now) - self.period_days * DAY)
        return self.earliest

    def latest_restorable(self, now: int) -> int:
        """The latest restorable time at ``now``."""
        # ASSUMPTION: in the first five minutes the latest restorable time is the earliest one.
        return max(self.earliest_restorable(now), whole_seconds(now - LATEST_RESTORABLE_LAG))


class ContinuousBackups:
    """The recovery state of all tables, by TableId."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._enabled: dict[str, Recovery] = {}

    def install(self) -> None:
        """Replace ministack's two operations. Call once."""
        dynamodb = hooks.dynamodb()
        dynamodb._describe_continuous_backups = self.describe
        dynamodb._update_continuous_backups = self.update

    def of(self, table_id: str) -> Recovery | None:
        """The recovery of a table, None if it is off."""
        return self._enabled.get(table_id)

    def forget(self) -> None:
        """Drop all recovery states whose table is gone."""
        alive = {str(table["TableId"]) for _scope, table in hooks.dynamodb()._tables.all_items()}
        for table_id in self._enabled.keys() - alive:
            del self._enabled[table_id]

    def describe(self, data: dict[str, Any]) -> Answer:
        """DescribeContinuousBackups."""
        try:
            return self._description(_table(data))
        except ApiError as error:
            return error.answer()

    def update(self, data: dict[str, Any]) -> Answer:
        """UpdateContinuousBackups."""
        try:
            specification = data.get("PointInTimeRecoverySpecification") or {}
            period = _checked_period(specification)
            table = _table(data)
            self._switch(str(table["TableId"]), period, enabled=bool(specification["PointInTimeRecoveryEnabled"]))
            return self._description(table)
        except ApiError as error:
            return error.answer()

    def _switch(self, table_id: str, period: int | None, *, enabled: bool) -> None:
        now = self._clock.now()
        recovery = self._enabled.get(table_id)
        if not enabled:
            self._enabled.pop(table_id, None)
        elif recovery is None:
            self._enabled[table_id] = Recovery(whole_seconds(now), period or DEFAULT_PERIOD_DAYS)
        else:
            recovery.earliest_restorable(now)
            recovery.period_days = period or recovery.period_days

    def _description(self, table: dict[str, Any]) -> Answer:
        recovery = self._enabled.get(str(table["TableId"]))
        description: dict[str, Any] = {"PointInTimeRecoveryStatus": "ENABLED" if recovery else "DISABLED"}
        if recovery:
            now = self._clock.now()
            description["RecoveryPeriodInDays"] = recovery.period_days
            description["EarliestRestorableDateTime"] = recovery.earliest_restorable(now) // SECOND
            description["LatestRestorableDateTime"] = recovery.latest_restorable(now) // SECOND
        return json_answer(
            {
                "ContinuousBackupsDescription": {
                    "ContinuousBackupsStatus": "ENABLED",
                    "PointInTimeRecoveryDescription": description,
                }
            }
        )


def _table(data: dict[str, Any]) -> dict[str, Any]:
    table = table_named(data.get("TableName"))
    if table is None:
        raise ApiError("TableNotFoundException", f"Table not found: {data.get('TableName')}")
    return table


def _checked_period(specification: dict[str, Any]) -> int | None:
    if "PointInTimeRecoveryEnabled" not in specification:
        raise ApiError(
            "ValidationException",
            "1 validation error detected: Value null at 'pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled' "
            "failed to satisfy constraint: Member must not be null",
        )
    period = specification.get("RecoveryPeriodInDays")
    if period is None:
        return None
    if not isinstance(period, int) or not 1 <= period <= DEFAULT_PERIOD_DAYS:
        # ASSUMPTION: the text; the range is in the service model.
        bound = "less than or equal to 35" if isinstance(period, int) and period > 1 else "greater than or equal to 1"
        raise ApiError(
            "ValidationException",
            f"1 validation error detected: Value '{period}' at 'pointInTimeRecoverySpecification.recoveryPeriodInDays' "
            f"failed to satisfy constraint: Member must have value {bound}",
        )
    return period
