"""The name that one published window, or one full export, has among a table's asset events: Airflow's partition key.

A consumer DAG runs once for each key, and knows from the key alone what it is to read. The form is a contract: keys stand in Airflow's
database, and in DAGs of others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from ddb_export.domain.layout import partition_of
from ddb_export.domain.utc import iso, parse_utc
from ddb_export.domain.window import Window
from ddb_export.exceptions import UsageError

LONGEST_KEY = 250
"""Airflow refuses longer ones (airflow-core 3.3.2, ``airflow.models.base.ID_LEN``)."""

_LONGEST_TABLE = LONGEST_KEY - len("|2026-11-20T00:00:00Z/2026-11-21T00:00:00Z")
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """What one asset event is about: ``{table}|{from}/{to}`` of a window, ``{table}|{time}`` of a full export.

    ``str(key)`` is the key, :meth:`parse` reads it back. Times are ISO 8601 in UTC, as in ``orders|2026-11-20T00:00:00Z/2026-11-21T00:00:00Z``.

    :param table: the table's name in the lake. Of a name of more than 208 characters the key has the first 199, ``~`` and 8 digits of its
        SHA-256, which is what :meth:`parse` returns.
    :param window: the window, None of a full export. :param export_time: moment of a full export, aware UTC, None of a window.
    :raises ValueError: both or neither is given.
    """

    table: str
    window: Window | None = None
    export_time: datetime | None = None

    def __post_init__(self) -> None:
        if (self.window is None) == (self.export_time is None):
            raise ValueError(f"the partition key of {self.table} is of one window or of one full export")

    def __str__(self) -> str:
        if self.window:
            return f"{_fitting(self.table)}|{iso(self.window.start)}/{iso(self.window.end)}"
        return f"{_fitting(self.table)}|{iso(self.export_time.replace(microsecond=0)) if self.export_time else ''}"

    @classmethod
    def parse(cls, text: str) -> PartitionKey:
        """Read a partition key, such as ``dag_run.partition_key`` of a consumer's run.

        :raises UsageError: it is none of ours.
        """
        table, _, when = text.partition("|")
        start, _, end = when.partition("/")
        try:
            moment = parse_utc(start)
            key = cls(table, Window(moment, parse_utc(end))) if end else cls(table, export_time=moment)
        except ValueError as error:
            raise _no_key(text, str(error)) from error
        if not table or str(key) != text:
            raise _no_key(text, "it is written in another way")
        return key

    @property
    def partition(self) -> str:
        """Path of the typed partition below the table's folder, such as ``changes/dt=2026-11-20/export_window=…``."""
        return partition_of(self.window, self.export_time)

    @property
    def condition(self) -> str:
        """The partition as a condition in SQL, such as ``dt = '2026-11-20' AND export_window = '…'``: Athena reads no other one."""
        named = (part.split("=", 1) for part in self.partition.split("/") if "=" in part)
        return " AND ".join(f"{name} = '{value}'" for name, value in named)


def _no_key(text: str, cause: str) -> UsageError:
    remedy = "schedule the DAG on assets of output_asset() only; keys are like orders|2026-11-20T00:00:00Z/2026-11-21T00:00:00Z"
    return UsageError(f"partition key {text!r}", cause, remedy)


def _fitting(table: str) -> str:
    if len(table) <= _LONGEST_TABLE:
        return table
    digest = hashlib.sha256(table.encode()).hexdigest()[:_DIGITS]
    return f"{table[: _LONGEST_TABLE - _DIGITS - 1]}~{digest}"
