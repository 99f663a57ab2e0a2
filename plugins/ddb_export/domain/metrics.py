"""The metrics that this package tells, by name: dashboards and alert rules are built on them, so names, units and tags never change.

A backend with tags (OpenTelemetry, Datadog, StatsD in InfluxDB's style) gets ``ddb_export.{name}`` and the tags; plain StatsD, which has
none, gets ``ddb_export.{name}.{value}…`` with the tags' values in their order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "ddb_export"

_NO_PART_OF_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


class Kind(StrEnum):
    """What a backend does with the values."""

    GAUGE = "gauge"
    """How something stands; the last value counts."""
    COUNTER = "counter"
    """How many more there are; values are added up."""
    TIMER = "timer"
    """How long something took; each value counts for itself."""


class Stage(StrEnum):
    """The stages of a run that are told by name: tag ``stage`` of metrics, first word of lines in the log."""

    PLAN = "plan"
    EXPORT = "export"
    VERIFY = "verify"
    SCAN = "scan"
    CONVERT = "convert"
    PUBLISH = "publish"
    REGISTER = "register"
    CHECK = "check"
    WIDEN = "widen"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    :param name: without prefix. :param kind: see :class:`Kind`. :param unit: of its values.
    :param tags: names of its tags, in the order of a dotted name.
    :param told: by whom and when. :param meaning: what a value says.
    """

    name: str
    kind: Kind
    unit: str
    tags: tuple[str, ...]
    told: str
    meaning: str

    @property
    def tagged_name(self) -> str:
        """Its name where the backend has tags."""
        return f"{PREFIX}.{self.name}"

    def dotted_name(self, tags: Mapping[str, str]) -> str:
        """Return its name where the backend has no tags; what would be a level of its own in a value becomes ``_``.

        :param tags: value of each of its tags.
        """
        parts = [_NO_PART_OF_A_NAME.sub("_", tags[tag]) for tag in self.tags]
        return ".".join([self.tagged_name, *parts])


_TABLE = ("table",)
_TABLE_AND_STAGE = ("table", "stage")
_CHECK = "task of the freshness DAG: each check"
_CHECK_AND_RUN = f"{_CHECK}; task `hand_over`: each run"
_VERIFIED = "task `verify`: once for each export that it verifies"

LAG = Metric(
    "lag_seconds",
    Kind.GAUGE,
    "seconds",
    _TABLE,
    _CHECK_AND_RUN,
    "age of the data: now less how far it is complete",
)
SLA = Metric("sla_seconds", Kind.GAUGE, "seconds", _TABLE, _CHECK, "the `sla`; not told where there is none")
TROUBLES = Metric(
    "troubles", Kind.GAUGE, "troubles", _TABLE, _CHECK, "troubles that the table has, as the alerts count"
)
HOLES = Metric(
    "holes",
    Kind.GAUGE,
    "holes",
    _TABLE,
    _CHECK_AND_RUN,
    "stretches of time that no verified window covers although a later one is verified",
)
HOLE_MINUTES = Metric("hole_minutes", Kind.GAUGE, "minutes", _TABLE, _CHECK_AND_RUN, "how long the holes are together")
ITEMS = Metric("items", Kind.COUNTER, "items", _TABLE, _VERIFIED, "items of its manifest")
BYTES = Metric("bytes", Kind.COUNTER, "bytes", _TABLE, _VERIFIED, "size of its data files, compressed")
BILLED_BYTES = Metric("billed_bytes", Kind.COUNTER, "bytes", _TABLE, _VERIFIED, "BilledSizeBytes of DescribeExport")
STAGE_DURATION = Metric(
    "stage_duration",
    Kind.TIMER,
    "milliseconds",
    _TABLE_AND_STAGE,
    "task of each stage: when it succeeds",
    "how long it worked; of `export`: from DynamoDB's StartTime to its EndTime",
)
RETRIES = Metric(
    "retries",
    Kind.COUNTER,
    "tries",
    _TABLE_AND_STAGE,
    "task of each stage: at its start",
    "tries after the first of a run, by retry or because the task was cleared",
)
FURTHER_ATTEMPTS = Metric(
    "further_attempts",
    Kind.COUNTER,
    "exports",
    _TABLE,
    "task `export` or `export_base`: when it makes one",
    "next attempts at exports that FAILED or were refused",
)
ESTIMATED_USD = Metric(
    "estimated_usd", Kind.GAUGE, "USD", _TABLE, "task `plan`: each run", "what the newest run was estimated to cost"
)
BILLED_USD = Metric(
    "billed_usd",
    Kind.GAUGE,
    "USD",
    _TABLE,
    "task `check`: each run",
    "what the exports of the newest run were billed, about",
)
WAITS = Metric(
    "waits",
    Kind.GAUGE,
    "tasks",
    ("account", "region", "host"),
    "triggerer: when a wait begins or ends, and at each question to DynamoDB",
    "deferred tasks that wait for an export's end in this triggerer",
)

METRICS: tuple[Metric, ...] = (
    LAG,
    SLA,
    TROUBLES,
    HOLES,
    HOLE_MINUTES,
    ITEMS,
    BYTES,
    BILLED_BYTES,
    STAGE_DURATION,
    RETRIES,
    FURTHER_ATTEMPTS,
    ESTIMATED_USD,
    BILLED_USD,
    WAITS,
)
"""All of them, in the order of the documentation."""
