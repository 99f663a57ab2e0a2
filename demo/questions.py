"""The question that Athena answers, and the same figures from DynamoDB's own items."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from demo.errors import DemoError

SQL = """\
WITH versions AS (
    SELECT origin_date, departure, distance, false AS removed, TIMESTAMP '1970-01-01 00:00:00' AS written_at
    FROM {database}.{name}_snapshots
    WHERE export_time = '{base}'
    UNION ALL
    SELECT origin_date, departure, distance, _op = 'REMOVE', CAST(_written_at AS timestamp)
    FROM {database}.{name}_changes
), newest AS (
    SELECT *, row_number() OVER (PARTITION BY origin_date, departure ORDER BY written_at DESC) AS age
    FROM versions
)
SELECT
    (SELECT count(*) FROM newest WHERE age = 1 AND NOT removed) AS live_items,
    (SELECT sum(distance) FROM newest WHERE age = 1 AND NOT removed) AS distance_sum,
    (SELECT count(*) FROM {database}.{name}_changes WHERE _op = 'INSERT') AS inserts,
    (SELECT count(*) FROM {database}.{name}_changes WHERE _op = 'MODIFY') AS modifies,
    (SELECT count(*) FROM {database}.{name}_changes WHERE _op = 'REMOVE') AS removes
"""
"""The live items: the newest version of each, from the base and all changes since, unless that is its removal."""

_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """Figures of the table.

    :param distance_sum: miles of all live flights together.
    :param by_op: changes by their kind; None where only the live items are known.
    """

    live_items: int
    distance_sum: int
    by_op: Mapping[str, int] | None = None

    def agrees_with(self, other: Answer) -> bool:
        """Tell whether the figures of the live items are the same."""
        return (self.live_items, self.distance_sum) == (other.live_items, other.distance_sum)


def ask_athena(athena: Any, sql: str, output: str) -> Answer:
    """Ask through Athena's API and wait for the answer.

    :param athena: boto3 client.
    :param sql: :data:`SQL`, filled in.
    :param output: ``s3://`` folder for the result.
    :raises DemoError: the query did not succeed.
    """
    started = athena.start_query_execution(QueryString=sql, ResultConfiguration={"OutputLocation": output})
    identifier = started["QueryExecutionId"]
    while True:
        status = athena.get_query_execution(QueryExecutionId=identifier)["QueryExecution"]["Status"]
        if status["State"] not in ("QUEUED", "RUNNING"):
            break
        time.sleep(_POLL_SECONDS)
    if status["State"] != "SUCCEEDED":
        cause = f"it ended as {status['State']}: {status.get('StateChangeReason', 'no reason given')}"
        raise DemoError(f"Athena query {identifier}", cause, "see the query in demo.json")
    cells = athena.get_query_results(QueryExecutionId=identifier)["ResultSet"]["Rows"][1]["Data"]
    live, distance, inserts, modifies, removes = (int(cell["VarCharValue"]) for cell in cells)
    return Answer(live, distance, {"INSERT": inserts, "MODIFY": modifies, "REMOVE": removes})


def add_up(items: Iterable[Mapping[str, Any]]) -> Answer:
    """Work out the same figures from items in DynamoDB JSON."""
    distances = [Decimal(item["distance"]["N"]) for item in items]
    return Answer(len(distances), int(sum(distances)))
