"""The flights' table as a user declares it: apart from the demo's course, since the image that lays it down has no tool of the demo."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from ddb_export.domain.utc import iso
from demo import history
from demo.cloud import BUCKET, DATABASE, PREFIX

WINDOWS = 3
"""Daily windows after the base."""

_DAY = timedelta(days=1)


def declaration(base_time: datetime, connection: str, *, poll_interval: str) -> str:
    """Write the flights' declaration, as a user would.

    :param base_time: when the first full export is made (UTC). :param connection: id of the Airflow connection.
    :param poll_interval: how often a waiting run asks for an export's state.
    """
    declared = {
        "table": history.TABLE,
        "bucket": BUCKET,
        "prefix": PREFIX,
        "database": DATABASE,
        "schedule": "0 0 * * *",
        "start_date": iso(base_time - _DAY),
        "catchup": True,
        "aws_conn_id": connection,
        "poll_interval": poll_interval,
        "retry_delay": "1s",
    }
    # JSON is YAML; dates stay texts.
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in declared.items())
