"""Whether an export is the one that was asked for.

An export is used only if DynamoDB's description of it agrees with the request in every point: the table, the times, the
view, the format, the filter, the place. The name of a folder or the word of a database proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ddb_export.domain.export import ExportDescription, ExportRequest
from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.utc import iso


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One point in which a description differs from the request.

    :param point: name of the point, in the words of AWS's API.
    :param asked: what was asked for. :param found: what the description says.
    """

    point: str
    asked: str
    found: str

    def __str__(self) -> str:
        return f"{self.point} is {self.found}, asked for was {self.asked}"


def disagreements(
    request: ExportRequest, description: ExportDescription, table_id: str | None = None
) -> tuple[Disagreement, ...]:
    """Return every point in which an export is not what was asked for; none if it is.

    :param request: what was asked for. :param description: what DescribeExport says.
    :param table_id: TableId that the table must have had; not compared if None.
    """
    start, end = (request.window.start, request.window.end) if request.window else (None, None)
    points = [
        ("TableArn", request.table_arn, description.table_arn),
        ("ExportType", request.export_type, description.export_type),
        ("ExportTime", request.export_time, description.export_time),
        ("ExportFromTime", start, description.start),
        ("ExportToTime", end, description.end),
        ("ExportViewType", request.view, description.view),
        ("ExportFormat", request.export_format, description.export_format),
        ("S3Bucket", request.bucket, description.bucket),
        ("S3Prefix", request.s3_prefix, (description.s3_prefix or "").strip("/")),
        ("FilterSpecification", request.export_filter, description.export_filter),
    ]
    if table_id is not None:
        points.append(("TableId", table_id, description.table_id))
    return tuple(Disagreement(point, _words(asked), _words(found)) for point, asked, found in points if asked != found)


def _words(value: object) -> str:
    if isinstance(value, datetime):
        return iso(value)
    if value is None:
        return "absent"
    return str(value) if isinstance(value, str | StrEnum | ExportFilter) else repr(value)
