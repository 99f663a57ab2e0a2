"""What the operators that move data tell OpenLineage, if its provider is installed and switched on.

Airflow's listener asks a task's operator for its lineage after the task has ended, well or not (apache-airflow-providers-openlineage 2.20.3,
``DefaultExtractor``). Until then the operator only notes what it moved; nothing of OpenLineage is loaded where nobody asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ddb_export.domain.layout import partition_of
from ddb_export.domain.ledger import Claim, PublishedEntry, VerifiedEntry
from ddb_export.domain.lineage import (
    DatasetName,
    Moved,
    Written,
    dynamodb_table,
    glue_table,
    partition_keys,
    read_datasets,
    s3_folder,
    written_datasets,
)
from ddb_export.domain.planning_rules import RAW, output_of

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset

    from ddb_export.aws.glue import GlueColumn
    from ddb_export.domain.export import ExportDescription
    from ddb_export.domain.layout import Lake


class TellsLineage:
    """Part of an operator that moves data: it notes what it moved, and gives OpenLineage that."""

    moved: Sequence[Moved] = ()
    """What the task has moved so far."""

    def note_moved(self, moved: Moved) -> None:
        """Note what was moved."""
        self.moved = (*self.moved, moved)

    def lineage_columns(self, output: str) -> Sequence[GlueColumn]:
        """Return the columns of what was written, those of partitions too; none where they are not known.

        :param output: ``snapshots`` or ``changes``.
        """
        return ()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return inputs and outputs with schema and counts. Of a task that failed: what it had moved by then."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        columns = {output: self.lineage_columns(output) for output in _outputs(self.moved)}
        return OperatorLineage(
            inputs=[_input(dataset, locations) for dataset, locations in read_datasets(self.moved).items()],
            outputs=[
                _output(written, columns.get(written.output or "", ())) for written in written_datasets(self.moved)
            ],
            run_facets=_run_facets(self.moved),
        )


def exported(lake: Lake, claim: Claim, description: ExportDescription) -> Moved:
    """Say what an export moved: from the table to its raw folder. One that did not end well has counted nothing."""
    folder = lake.uri(f"raw/{claim.export}") + "/"
    written = Written(s3_folder(lake.uri("raw")), rows=description.item_count, locations=(folder,))
    return Moved(dynamodb_table(claim.request.table_arn), written, description.export_arn)


def converted(lake: Lake, entry: VerifiedEntry, *, rows: int, files: int, size: int) -> Moved:
    """Say what converting a group of files moved: from the raw folder to that of the typed files.

    :param size: bytes of the typed files.
    """
    output = output_of(entry.kind)
    keys = (partition_keys(partition_of(entry.window, entry.export_time)),)
    written = Written(s3_folder(lake.uri(output)), output, rows, files, size, keys)
    return _from_raw(lake, entry, written)


def published(lake: Lake, entry: VerifiedEntry, done: PublishedEntry) -> Moved:
    """Say what a publication made readable: a partition of a table in the catalog."""
    output = output_of(entry.kind)
    folder = None if done.output == RAW else s3_folder(lake.uri(output))
    table = glue_table(entry.table_arn, done.glue_table)
    keys = (partition_keys(done.partition),)
    written = Written(table, output, done.rows, done.files, done.output_bytes, keys, folder=folder)
    return _from_raw(lake, entry, written)


def _from_raw(lake: Lake, entry: VerifiedEntry, written: Written) -> Moved:
    folder = lake.uri(f"raw/{entry.export}") + "/"
    return Moved(s3_folder(lake.uri("raw")), written, entry.export_arn, (folder,))


def _outputs(moved: Sequence[Moved]) -> list[str]:
    return sorted({each.written.output for each in moved if each.written.output})


def _input(dataset: DatasetName, locations: Sequence[str]) -> InputDataset:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.generated.base_subset_dataset import InputSubsetInputDatasetFacet, LocationSubsetCondition

    subset = InputSubsetInputDatasetFacet(LocationSubsetCondition(list(locations)))
    return InputDataset(dataset.namespace, dataset.name, inputFacets={"subset": subset} if locations else {})


def _output(written: Written, columns: Sequence[GlueColumn]) -> OutputDataset:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.generated.base_subset_dataset import (
        LocationSubsetCondition,
        OutputSubsetOutputDatasetFacet,
        Partition,
        PartitionSubsetCondition,
    )
    from openlineage.client.generated.output_statistics_output_dataset import OutputStatisticsOutputDatasetFacet
    from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields
    from openlineage.client.generated.symlinks_dataset import Identifier, SymlinksDatasetFacet

    facets: dict[str, Any] = {}
    if columns:
        fields = [SchemaDatasetFacetFields(each.name, each.type, each.comment or None) for each in columns]
        facets["schema"] = SchemaDatasetFacet(fields=fields)
    if written.folder:
        folder = Identifier(written.folder.namespace, written.folder.name, "TABLE")
        facets["symlinks"] = SymlinksDatasetFacet(identifiers=[folder])
    output_facets: dict[str, Any] = {}
    if written.rows is not None:
        output_facets["outputStatistics"] = OutputStatisticsOutputDatasetFacet(
            rowCount=written.rows, size=written.size, fileCount=written.files
        )
    subset = (
        PartitionSubsetCondition([Partition(dict(each)) for each in written.partitions])
        if written.partitions
        else LocationSubsetCondition(list(written.locations))
    )
    output_facets["subset"] = OutputSubsetOutputDatasetFacet(subset)
    dataset = written.dataset
    return OutputDataset(dataset.namespace, dataset.name, facets=facets, outputFacets=output_facets)


def _run_facets(moved: Sequence[Moved]) -> dict[str, Any]:
    """Name DynamoDB's export, by which the run can be found in AWS; the form has room for one."""
    from openlineage.client.generated.external_query_run import ExternalQueryRunFacet

    arns = {each.export_arn for each in moved}
    if len(arns) != 1:
        return {}
    return {"externalQuery": ExternalQueryRunFacet(externalQueryId=arns.pop(), source="dynamodb")}
