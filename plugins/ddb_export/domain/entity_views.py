"""The views of each entity of a single-table design: its snapshots, its changes and its latest state, with its columns only.

An item of the latest state is looked for among all entities first, then asked which one it is: so an item that becomes another entity is
in one view at any time, and in none twice. In the changes a row counts for what the item is after the write; for a removed item,
whose row has its keys only, what it was before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ddb_export.domain.entities import Entities, EntityColumns, EntityMatch
from ddb_export.domain.schema import CHANGES_COLUMNS, SNAPSHOT_COLUMNS
from ddb_export.domain.views import (
    PLACE_OF_MARK,
    CatalogTable,
    HelperViews,
    LatestState,
    View,
    json_path,
    literal,
    quoted,
)


@dataclass(frozen=True, slots=True)
class EntityViews:
    """The views of all entities of a table.

    :param of_table: its helper views. :param entities: as the contract declares them.
    :param column: the column of the attribute that tells them; it holds text.
    :param known: which columns the rows of each have.
    """

    of_table: HelperViews
    entities: Entities
    column: str
    known: EntityColumns

    def views(self, latest: LatestState | None) -> list[View]:
        """Return the views that the tables allow.

        :param latest: what the latest state is made from; None where it cannot be told yet.
        """
        found = []
        table = self.of_table
        for match in self.entities.ordered:
            if table.snapshots and self.column in table.snapshots.columns:
                own, columns = self._shown(match, table.snapshots, SNAPSHOT_COLUMNS)
                condition = self._is(match, quoted(self.column))
                query = self._of(table.snapshots, [*own, *columns, "export_time"], condition)
                found.append(table.view(f"{match.name}_snapshots", query, columns))
            if table.changes and self.column in table.changes.columns:
                own, columns = self._shown(match, table.changes, CHANGES_COLUMNS)
                query = self._of(table.changes, [*own, *columns, "dt", "export_window"], self._changed(match))
                found.append(table.view(f"{match.name}_changes", query, columns))
            if state := table.latest_query(latest):
                columns = self._columns(match, table.attribute_columns)
                shown = ["_written_at", "_table_id", "_overflow", *columns]
                found.append(
                    table.view(
                        match.name,
                        f"SELECT {_names(shown)} FROM (\n{state}\n) WHERE {self._is(match, quoted(self.column))}",  # noqa: S608  # quoted
                        columns,
                    )
                )
        return found

    def _shown(
        self, match: EntityMatch, table: CatalogTable, own: Sequence[tuple[str, str]]
    ) -> tuple[list[str], Mapping[str, str]]:
        """Return what every row of a table has, and the entity's attributes' columns with their types."""
        names = [name for name, _ in own]
        return names, self._columns(match, {name: of for name, of in table.columns.items() if name not in names})

    def _of(self, table: CatalogTable, shown: Sequence[str], condition: str) -> str:
        source = f"{quoted(self.of_table.database)}.{quoted(table.name)}"
        return f"SELECT {_names(shown)} FROM {source}\nWHERE ({condition}) AND {PLACE_OF_MARK} <> ''"  # noqa: S608  # quoted

    def _columns(self, match: EntityMatch, columns: Mapping[str, str]) -> Mapping[str, str]:
        """Return the entity's of these columns; all of them while it is not known of all partitions."""
        if not self.known.whole:
            return columns
        wanted = {*self.known.columns.get(match.name, ()), *(key.column for key in self.of_table.keys), self.column}
        return {name: of for name, of in columns.items() if name in wanted}

    def _changed(self, match: EntityMatch) -> str:
        condition = self._is(match, quoted(self.column))
        if any(key.column == self.column for key in self.of_table.keys):
            return condition
        path = literal(json_path(self.entities.attribute) + '["S"]')
        before = self._is(match, f'json_extract_scalar("_old_image", {path})')
        return f"({condition}) OR (\"_op\" = 'REMOVE' AND {before})"

    def _is(self, match: EntityMatch, text: str) -> str:
        """Return the condition that a text tells this entity, and none that comes before it."""
        ordered = list(self.entities.ordered)
        earlier = [_matches(each, text) for each in ordered[: ordered.index(match)]]
        return " AND ".join([_matches(match, text), *(f"NOT {each}" for each in earlier)])


def _matches(match: EntityMatch, text: str) -> str:
    if not match.is_pattern:
        return f"{text} = {literal(match.text)}"
    escape = " ESCAPE '\\'" if "\\" in match.like else ""
    return f"{text} LIKE {literal(match.like)}{escape}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))
