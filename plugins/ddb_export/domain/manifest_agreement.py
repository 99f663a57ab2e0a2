"""Whether a manifest describes the export that was asked for, and says what DescribeExport says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ddb_export.domain.agreement import disagreements
from ddb_export.domain.export import ExportDescription, ExportRequest, ExportStatus
from ddb_export.domain.manifest import COPY_AGAIN, Finding, ManifestSummary
from ddb_export.domain.utc import iso

__all__ = ["check_description", "check_request"]


def check_request(summary: ManifestSummary, request: ExportRequest, table_id: str | None, file: str) -> list[Finding]:
    """Check that the summary describes the export that was asked for.

    :param table_id: TableId that the table must have had; not compared if None.
    :param file: what to call ``manifest-summary.json`` in findings.
    """
    remedy = "look for the export that was asked for, or export again"
    # Whether a manifest names the filter is not documented; the description does, and the two are compared as well.
    unfiltered = replace(request, export_filter=None)
    differences = disagreements(unfiltered, summary.as_description(), table_id)
    return [Finding(file, str(difference), remedy) for difference in differences]


def check_description(summary: ManifestSummary, description: ExportDescription, file: str) -> list[Finding]:
    """Check that the summary says of the export what DescribeExport says.

    The billed size is left out: nothing promises that the two count it alike.

    :param file: what to call ``manifest-summary.json`` in findings.
    """
    if description.status is not ExportStatus.COMPLETED:
        cause = f"DescribeExport says that the export is {description.status}"
        return [Finding(file, cause, "wait for it to complete, or export again if it failed")]
    said = summary.as_description()
    pairs = {
        "exportArn": (said.export_arn, description.export_arn),
        "tableArn": (said.table_arn, description.table_arn),
        "tableId": (said.table_id, description.table_id),
        "exportType": (said.export_type, description.export_type),
        "exportTime": (said.export_time, description.export_time),
        "exportFromTime": (said.start, description.start),
        "exportToTime": (said.end, description.end),
        "outputView": (said.view, description.view),
        "outputFormat": (said.export_format, description.export_format),
        "s3Bucket": (said.bucket, description.bucket),
        "s3Prefix": ((said.s3_prefix or "").strip("/"), (description.s3_prefix or "").strip("/")),
        "itemCount": (said.item_count, description.item_count),
    }
    return [
        Finding(file, f"{name} is {_words(mine)}, but DescribeExport says {_words(theirs)}", COPY_AGAIN)
        for name, (mine, theirs) in pairs.items()
        if mine != theirs
    ]


def _words(value: object) -> str:
    return "absent" if value is None else iso(value) if isinstance(value, datetime) else str(value)
