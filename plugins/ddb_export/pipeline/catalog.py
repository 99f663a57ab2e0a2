"""What stands in the Glue catalog for a table of the lake: its tables and partitions, made from schema document and generations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ddb_export.aws.glue import GlueColumn, GluePartition, GlueTable
from ddb_export.domain.export import ExportType
from ddb_export.domain.export_filter import NO_REPLICA, words_of
from ddb_export.domain.layout import Lake, glue_name
from ddb_export.domain.schema import SchemaDocument, glue_columns

if TYPE_CHECKING:
    from ddb_export.domain.ledger import Chain, VerifiedEntry
    from ddb_export.pipeline.conversion import Generation

OWN_COLUMNS: Mapping[str, str] = {
    "_op": "INSERT, MODIFY or REMOVE; PUT where the export's view cannot tell",
    "_written_at": "when DynamoDB wrote it, UTC",
    "_old_image": "the item before the window, as DynamoDB JSON",
    "_ttl_expired": "whether the TTL attribute had passed at the write; an inference",
    "_table_id": "TableId of the DynamoDB table",
    "_overflow": "DynamoDB JSON of whatever the columns cannot hold exactly",
}
"""Comments of the columns that are no attribute's."""

PARTITION_KEYS: Mapping[str, tuple[GlueColumn, ...]] = {
    "snapshots": (GlueColumn("export_time", "string", "moment of the full export, UTC"),),
    "changes": (
        GlueColumn("dt", "string", "UTC date of the window's start"),
        GlueColumn("export_window", "string", "start and end of the window, UTC"),
    ),
}


def glue_table(lake: Lake, schema: SchemaDocument, output: str, database: str) -> GlueTable:
    """Return the table of an output as it should stand in the catalog.

    :param schema: the newest schema document. :param output: ``snapshots`` or ``changes``. :param database: Glue database.
    """
    export_type = ExportType.FULL_EXPORT if output == "snapshots" else ExportType.INCREMENTAL_EXPORT
    comments = {column.name: _comment(column.attribute, column.dynamodb_type) for column in schema.columns}
    return GlueTable(
        database=database,
        name=f"{glue_name(lake.name)}_{output}",
        location=lake.uri(output) + "/",
        made_for=lake.uri(),
        columns=tuple(
            GlueColumn(name, glue_type, OWN_COLUMNS.get(name) or comments[name])
            for name, glue_type in glue_columns(schema, export_type)
        ),
        partition_keys=PARTITION_KEYS[output],
        description=f"DynamoDB exports of {lake.name}: {output}. Kept by ddb_export.",
    )


FILTER_PARAMETER = "ddb_export.filter"
"""Parameter of tables and partitions that says what of the DynamoDB table they hold."""


def filter_parameters(chain: Chain) -> dict[str, str]:
    """Return what a table says of its filter: that of the current chain, whichever export was published last.

    Nothing where none of the lake's chains ever had one; after a filter was taken away, that there is none now.
    """
    export_filter = chain.base_claim.request.export_filter if chain.base_claim else None
    if export_filter:
        return {FILTER_PARAMETER: f"{words_of(export_filter)}; {NO_REPLICA}"}
    return {FILTER_PARAMETER: "no filter"} if any(claim.request.export_filter for claim in chain.claims) else {}


def glue_partition(lake: Lake, table: GlueTable, entry: VerifiedEntry, generation: Generation) -> GluePartition:
    """Return the partition that shows a generation of an export."""
    location = lake.uri(generation.folder) + "/"
    return GluePartition(partition_values(generation.partition), location, table.columns, _made_from(entry, generation))


def _comment(attribute: str, dynamodb_type: str) -> str:
    """Say what a column holds: its name is often not the attribute's. Glue takes 255 characters without line breaks."""
    if not attribute.isprintable():
        return f"DynamoDB type {dynamodb_type}"
    return f"DynamoDB type {dynamodb_type}, attribute {attribute}"[:255]


def partition_values(partition: str) -> tuple[str, ...]:
    """Return the partition's values, which its path spells as ``key=value``."""
    return tuple(part.split("=", 1)[1] for part in partition.split("/") if "=" in part)


def _made_from(entry: VerifiedEntry, generation: Generation) -> dict[str, str]:
    """Say what a partition was made from, and by what."""
    from ddb_export import __version__

    return {
        "ddb_export.export": entry.export,
        "ddb_export.export_arn": entry.export_arn,
        "ddb_export.generation": generation.name,
        "ddb_export.schema_version": str(generation.schema.version),
        "ddb_export.converter_version": generation.converter_version,
        "ddb_export.version": __version__,
        "ddb_export.verified": entry.level,
        "ddb_export.data_files": str(entry.files),
        "ddb_export.items": str(entry.item_count),
        **({FILTER_PARAMETER: entry.export_filter} if entry.export_filter else {}),
    }
