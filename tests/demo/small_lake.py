"""A small lake of flights, made through the lab by the provider's own steps, without Airflow."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ddb_export.aws.dynamodb import DynamoDBGateway
from ddb_export.aws.glue import GlueGateway
from ddb_export.domain.export import ExportDescription, ExportStatus
from ddb_export.domain.ledger import Claim, ClaimKind
from ddb_export.domain.planning import Action, PlannedExport
from ddb_export.domain.window import Window
from ddb_export.pipeline.exports import Exports
from ddb_export.pipeline.file_groups import group_files
from ddb_export.pipeline.ledger import Wanted
from ddb_export.pipeline.planning import Destination
from ddb_export.pipeline.tasks import TableWork
from demo.cloud import DATABASE, Cloud, write_items
from demo.history import TABLE, history, last_midnight, read_flight, shift_to
from tests.demo.flights import CANCELLED, DIVERTED, LANDED, row

DAY = timedelta(days=1)
_SECONDS = 20.0


def make_small_lake(cloud: Cloud, folder: Path) -> None:
    """Lay down some flights, export a base and two windows, convert and publish them, and copy what there is then.

    :param folder: gets ``lake/`` and ``table.jsonl``, as the demo leaves them.
    """
    midnight = last_midnight(datetime.now(UTC), timedelta(minutes=10))
    rows = [
        LANDED,
        {**CANCELLED, "day": "29"},
        DIVERTED,
        *(row(day=str(day), flight=str(day)) for day in range(25, 32)),
    ]
    cloud.lay_down(history([read_flight(each) for each in rows], shift_to(midnight)))
    base = PlannedExport(ClaimKind.BASE, Action.EXPORT, "test", export_time=midnight - 2 * DAY)
    windows = [
        PlannedExport(ClaimKind.WINDOW, Action.EXPORT, "test", window=Window(start, start + DAY))
        for start in (midnight - 2 * DAY, midnight - DAY)
    ]
    for planned in (base, *windows):
        _export_and_publish(cloud, planned)
    cloud.save_lake(folder / "lake")
    write_items(list(cloud.scan()), folder / "table.jsonl")


def _export_and_publish(cloud: Cloud, planned: PlannedExport) -> None:
    dynamodb = DynamoDBGateway(cloud.client("dynamodb"))
    identity = dynamodb.identify(TABLE)
    _, now = dynamodb.recovery(TABLE)
    cloud.ledger.own(identity.table_arn, now)
    request = Destination().request(cloud.ledger, identity.table_arn, planned)
    claim = cloud.ledger.claim([Wanted(planned.kind, request, planned.reason)], identity.table_id, now)[0]
    work = TableWork(cloud.ledger, cloud.store)
    entry = work.verify(claim, _completed(dynamodb, Exports(dynamodb, cloud.store), claim, now), None, now)
    groups = group_files([entry], 1)
    work.scan(entry, groups[0])
    merged = work.merge_schema(groups)
    work.convert(entry, merged[0])
    work.publish(entry, merged, GlueGateway(cloud.client("glue")), DATABASE, now)


def _completed(dynamodb: DynamoDBGateway, exports: Exports, claim: Claim, now: datetime) -> ExportDescription:
    description = exports.find_or_start(claim, now)
    end = time.monotonic() + _SECONDS
    while description.status is ExportStatus.IN_PROGRESS:
        assert time.monotonic() < end
        time.sleep(0.05)
        description = dynamodb.describe_export(description.export_arn)
    assert description.status is ExportStatus.COMPLETED
    return description
