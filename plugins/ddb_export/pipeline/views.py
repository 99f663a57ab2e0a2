"""Which helper views a table's lake should have now, and which of them have to be written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ddb_export.aws.glue_views import stored_table
from ddb_export.domain.entity_views import EntityViews
from ddb_export.domain.layout import glue_name
from ddb_export.domain.ledger import Chain, ClaimKind
from ddb_export.domain.views import CatalogTable, HelperViews, KeyColumn, LatestState, View, digest_in
from ddb_export.exceptions import PublishError
from ddb_export.pipeline.entities import columns_of_entities
from ddb_export.pipeline.tasks import TableWork
from ddb_export.pipeline.widening import TableWidening

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway
    from ddb_export.domain.entities import Entities
    from ddb_export.domain.layout import Lake
    from ddb_export.domain.schema import SchemaDocument
    from ddb_export.pipeline.ledger import Ledger

log = logging.getLogger(__name__)

OUTPUTS = ("snapshots", "changes")
"""What the views read."""


def views_to_write(
    ledger: Ledger, key_attributes: Sequence[str], glue: GlueGateway, database: str, entities: Entities | None = None
) -> list[View]:
    """Return the views whose text, or whose columns' types, are not what stands in the catalog; none in the middle of a widening.

    :param key_attributes: exact names of the DynamoDB table's key attributes.
    :param entities: those that have views of their own, None for none.
    :raises PublishError: something else has the name of a view.
    """
    lake = ledger.lake
    name = glue_name(lake.name)
    snapshots, changes = (_table(glue, lake, database, f"{name}_{output}") for output in OUTPUTS)
    # After the tables: a widening makes the columns current first and changes the tables then, so this is never older than they are.
    schema = ledger.read_schema()
    if _is_being_widened(ledger, glue, schema):
        log.info("no views now: columns are being widened; the next run writes the views")
        return []
    columns = {column.attribute: column.name for column in schema.columns}
    keys = [KeyColumn(columns[attribute], attribute) for attribute in key_attributes if attribute in columns]
    if len(keys) < len(key_attributes):
        log.warning("no views: not every key attribute has a column (%s)", ", ".join(key_attributes))
        return []
    types = {column.name: column.glue_type for column in schema.columns}
    helpers = HelperViews(database, name, keys, snapshots, changes, types)
    latest = latest_state(ledger.read(OUTPUTS))
    wanted = helpers.views(latest)
    if entities:
        wanted += _of_entities(ledger, entities, helpers, schema, latest)
    return [view for view in wanted if _must_be_written(view, glue)]


def _is_being_widened(ledger: Ledger, glue: GlueGateway, schema: SchemaDocument) -> bool:
    """Tell whether the catalog may have some columns with the types of before a widening and some with those of after.

    While a widening only rewrites files, the catalog has the types of before: views that are written then are right until it goes on.
    """
    widening = TableWidening(TableWork(ledger, ledger.store), glue).under_way()
    return widening is not None and bool(widening.changes) and widening.is_applied(schema)


def _of_entities(
    ledger: Ledger, entities: Entities, helpers: HelperViews, schema: SchemaDocument, latest: LatestState | None
) -> list[View]:
    tells = next((column for column in schema.columns if column.attribute == entities.attribute), None)
    if tells is None or tells.dynamodb_type != "S" or tells.arrow_type != "string":
        what = (
            "has no column"
            if tells is None
            else f"is the column {tells.name} {tells.glue_type}, which is not its text (S)"
        )
        log.warning("no views of entities: the attribute %r %s", entities.attribute, what)
        return []
    return EntityViews(helpers, entities, tells.name, columns_of_entities(ledger, entities)).views(latest)


def latest_state(chain: Chain) -> LatestState | None:
    """Return what the latest state is made from: the newest full export up to which, and from which on, nothing is missing.

    None while no full export of the chain is published.
    """
    base = chain.base
    if base is None or base.export_time is None or chain.head is None:
        return None
    complete_to = _complete_to(chain, base.export_time)
    fulls = [
        entry.export_time
        for entry in chain.verified_subjects.values()
        if entry.kind is not ClaimKind.WINDOW
        and entry.export_time is not None
        and base.export_time <= entry.export_time <= (complete_to or chain.head)
        and chain.is_published(entry, "snapshots")
    ]
    return LatestState(base.table_id, max(fulls), complete_to) if fulls else None


def _complete_to(chain: Chain, base_time: datetime) -> datetime | None:
    """Return where published changes begin to be incomplete, if later windows are published already."""
    unpublished = [
        max(entry.window.start, base_time)
        for entry in chain.verified_subjects.values()
        if entry.window
        and entry.window.end > base_time
        and entry.subject not in chain.superseded
        and not chain.is_published(entry, "changes")
    ]
    head = chain.head
    beyond = [head] if head and any(each.end > head for each in chain.verified_stretches) else []
    return min([*unpublished, *beyond], default=None)


def _table(glue: GlueGateway, lake: Lake, database: str, name: str) -> CatalogTable | None:
    found = stored_table(glue, database, name)
    return CatalogTable(name, found.columns) if found and found.made_for == lake.uri() else None


def _must_be_written(view: View, glue: GlueGateway) -> bool:
    if not view.fits:
        log.warning("view %s.%s is left out: its text is longer than Athena takes", view.database, view.name)
        return False
    stored = stored_table(glue, view.database, view.name)
    if stored is None:
        return True
    digest = digest_in(stored.view_query) if stored.view_query else None
    if digest is None:
        raise PublishError(
            f"view {view.database}.{view.name}",
            "something else has this name in the catalog, and is no view of ddb_export",
            "drop or rename it, give this table another name in the configuration, or set views: false",
        )
    return digest != view.digest
