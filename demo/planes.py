"""A second table beside the flights: the planes that flew them. Its point-in-time recovery is off, as on most tables before their first export."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from ddb_export.domain.utc import iso
from demo.cloud import BUCKET, DATABASE, PREFIX, Cloud
from demo.history import Flight, Item

TABLE = "planes"
KEY = "tail_number"
_DAY = timedelta(days=1)
_BATCH = 25
"""Items that DynamoDB takes in one BatchWriteItem."""


def planes_of(flights: Iterable[Flight]) -> list[Item]:
    """Return an item for each plane: its carrier, how often and how far it flew, and where to last."""
    flown: dict[str, list[Flight]] = {}
    for flight in flights:
        if flight.tail_number is not None and flight.departed is not None:
            flown.setdefault(flight.tail_number, []).append(flight)
    return [_plane(tail_number, found) for tail_number, found in flown.items()]


def lay_down(cloud: Cloud, planes: Sequence[Item]) -> None:
    """Make the table, without recovery, and write the planes."""
    dynamodb = cloud.client("dynamodb")
    dynamodb.create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": KEY, "AttributeType": "S"}],
        KeySchema=[{"AttributeName": KEY, "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for first in range(0, len(planes), _BATCH):
        requests = [{"PutRequest": {"Item": plane}} for plane in planes[first : first + _BATCH]]
        dynamodb.batch_write_item(RequestItems={TABLE: requests})


def _plane(tail_number: str, flights: Sequence[Flight]) -> Item:
    last = max(flights, key=lambda flight: flight.scheduled)
    return {
        KEY: {"S": tail_number},
        "carrier": {"S": last.carrier},
        "flights": {"N": str(len(flights))},
        "miles": {"N": str(sum(flight.distance for flight in flights))},
        "last_destination": {"S": last.destination},
    }


def declaration(begin: datetime, connection: str) -> str:
    """Write the table's declaration, as a user would; recovery is forgotten.

    :param begin: when its schedule begins (UTC). :param connection: id of the Airflow connection.
    """
    declared = {
        "table": TABLE,
        "bucket": BUCKET,
        "prefix": PREFIX,
        "database": DATABASE,
        "schedule": "0 0 * * *",
        "start_date": iso(begin - _DAY),
        "aws_conn_id": connection,
        "sla": "26h",
        "poll_interval": "1s",
        "retry_delay": "1s",
    }
    # JSON is YAML; dates stay texts.
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in declared.items())
