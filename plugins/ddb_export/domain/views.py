"""The helper views of a table's lake: the latest state, the history of a key, and what overflowed, as Athena's SQL.

Every statement carries the mark :data:`MARK` and a digest of itself as a text that is never empty: Athena stores a view's query in its
own format and drops comments, so that a literal is the one thing by which a view can be known again as ours, and as unchanged.

The digest is also of the types of the attributes' columns: Athena stores with a view which types its query gave when it was written, and
refuses the view (``VIEW_IS_STALE``) once the query gives others, which a widening brings about without another word in the query.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ddb_export.domain.athena_types import athena_type
from ddb_export.domain.schema import CHANGES_COLUMNS
from ddb_export.domain.utc import compact, floor_minute
from ddb_export.domain.window import LONGEST

MARK = "ddb_export view "
"""What every view of ours has in a text, before the digest of its statement."""

LONGEST_STATEMENT = 262_144
"""Most bytes of a query that Athena takes (Athena, Service Quotas, "Query string length")."""

_OWN = frozenset(name for name, _ in CHANGES_COLUMNS)
_WINDOW_END = 'substr("export_window", strpos("export_window", \'-\') + 1)'
_EXPORT_TIME = (
    'CASE WHEN length("export_time") = 14 THEN date_parse("export_time", \'%Y%m%dT%H%iZ\')'
    " ELSE date_parse(\"export_time\", '%Y%m%dT%H%i%sZ') END"
)


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table as it stands in the catalog.

    :param name: its name in the database. :param columns: name → Glue type, without the partition keys.
    """

    name: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A key attribute of the DynamoDB table. :param column: the column that holds it. :param attribute: its exact name."""

    column: str
    attribute: str


@dataclass(frozen=True, slots=True)
class LatestState:
    """What the latest state is made from.

    :param table_id: TableId of the table. :param snapshot_time: time of the full export, UTC.
    :param complete_to: windows that end later are left out, because changes before them are missing; None where none are.
    """

    table_id: str
    snapshot_time: datetime
    complete_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One view. :param name: its name in the database. :param query: its SELECT, with the mark."""

    database: str
    name: str
    query: str
    digest: str

    @property
    def statement(self) -> str:
        """The statement that creates it, or changes it."""
        return f"CREATE OR REPLACE VIEW {quoted(self.database)}.{quoted(self.name)} AS\n{self.query}"

    @property
    def fits(self) -> bool:
        """Whether Athena takes a statement of this length."""
        return len(self.statement.encode()) <= LONGEST_STATEMENT


@dataclass(frozen=True, slots=True)
class HelperViews:
    """The views of one table.

    :param database: Glue database of tables and views. :param name: what their names begin with.
    :param keys: the key attributes: one or two. :param snapshots: the table of full exports, None if there is none.
    :param changes: that of changes. :param schema_types: column → Glue type by the newest schema document, read after the tables: what is
        shown of a column that the two tables have with two types. It is the wider one of them; the catalog may be in the middle of a widening.
    """

    database: str
    name: str
    keys: Sequence[KeyColumn]
    snapshots: CatalogTable | None
    changes: CatalogTable | None
    schema_types: Mapping[str, str] = field(default_factory=dict)

    def views(self, latest: LatestState | None) -> list[View]:
        """Return the views that these tables allow.

        :param latest: what the latest state is made from; None where it cannot be told yet.
        """
        query = self.latest_query(latest)
        types = self.attribute_columns
        found = [self.view("latest", query, types)] if query else []
        if self.snapshots or self.changes:
            of_keys = {key.column: types[key.column] for key in self.keys}
            found += [self.view("history", self._history(), types), self.view("overflow", self._overflow(), of_keys)]
        return found

    def view(self, suffix: str, query: str, types: Mapping[str, str]) -> View:
        """Return a view of the table.

        :param suffix: what follows the table's name in its own. :param query: with the place of the mark.
        :param types: the attributes' columns that it shows → their types.
        """
        shown = "\n".join([query, *(f"{quoted(name)} {of_type}" for name, of_type in types.items())])
        digest = hashlib.sha256(shown.encode()).hexdigest()[:16]
        return View(
            self.database, f"{self.name}_{suffix}", query.replace(PLACE_OF_MARK, literal(MARK + digest)), digest
        )

    def latest_query(self, latest: LatestState | None) -> str | None:
        """Return the query of the latest state, with the place of the mark; None where it cannot be told yet."""
        if latest and self.snapshots and self.changes:
            return self._latest(latest, self.snapshots, self.changes)
        return None

    @property
    def attribute_columns(self) -> dict[str, str]:
        """Name → Athena type of the attributes' columns of either table, in the order of their publication.

        Where the tables differ, the type is the schema document's: to cast to the one that a table has may be to cast to the narrower.
        """
        found: dict[str, str] = {}
        for table in (self.changes, self.snapshots):
            for name, glue_type in (table.columns if table else {}).items():
                if name in _OWN:
                    continue
                of_table = athena_type(glue_type)
                if found.setdefault(name, of_table) != of_table and name in self.schema_types:
                    found[name] = athena_type(self.schema_types[name])
        return found

    def _free(self, name: str) -> str:
        """Return a name that no column of the tables has."""
        taken = {*self.attribute_columns, *_OWN, "dt", "export_window", "export_time"}
        while name in taken:
            name += "_"
        return name

    def _rows(self, table: CatalogTable, head: Mapping[str, str], condition: str = "") -> str:
        """Return a SELECT of one table: what ``head`` says, then the attributes."""
        chosen = [f"{expression} AS {quoted(name)}" for name, expression in head.items()]
        chosen += [_column(table, name, wanted) for name, wanted in self.attribute_columns.items()]
        return f"SELECT {', '.join(chosen)} FROM {self._from(table)}{condition and ' WHERE ' + condition}"  # noqa: S608  # quoted

    def _from(self, table: CatalogTable) -> str:
        return f"{quoted(self.database)}.{quoted(table.name)}"

    def _same_key(self) -> list[str]:
        """Return what two rows of one item have in common: a number that its column cannot hold is in ``_overflow``."""
        overflowed = (
            f'json_format(json_extract("_overflow", {literal(json_path(key.attribute))}))' for key in self.keys
        )
        return [*(quoted(key.column) for key in self.keys), *overflowed]

    def _latest(self, state: LatestState, snapshots: CatalogTable, changes: CatalogTable) -> str:
        end, place = self._free("_end"), self._free("_place")
        base = compact(floor_minute(state.snapshot_time))
        # A window that began before the snapshot and ended after it is newer than the snapshot.
        first_day = f"{state.snapshot_time - LONGEST - timedelta(days=1):%Y-%m-%d}"
        table_id = f'"_table_id" = {literal(state.table_id)}'
        own = {"_table_id": '"_table_id"', "_overflow": '"_overflow"'}
        later = f'"dt" >= {literal(first_day)} AND {_WINDOW_END} > {literal(base)} AND {table_id}'
        if state.complete_to:
            later += f" AND {_WINDOW_END} <= {literal(compact(state.complete_to))}"
        rows = [
            self._rows(
                snapshots,
                {end: "''", "_op": "'SNAPSHOT'", "_written_at": "CAST(NULL AS timestamp(3))", **own},
                f'"export_time" = {literal(compact(state.snapshot_time))} AND {table_id}',
            ),
            self._rows(changes, {end: _WINDOW_END, "_op": '"_op"', "_written_at": '"_written_at"', **own}, later),
        ]
        shown = _names(["_written_at", "_table_id", "_overflow", *self.attribute_columns])
        order = f"row_number() OVER (PARTITION BY {', '.join(self._same_key())} ORDER BY {quoted(end)} DESC)"
        return (
            f"SELECT {shown} FROM (\n  SELECT *, {order} AS {quoted(place)} FROM (\n    "  # noqa: S608  # quoted
            + "\n    UNION ALL ".join(rows)
            + f"\n  )\n) WHERE {quoted(place)} = 1 AND \"_op\" <> 'REMOVE' AND {PLACE_OF_MARK} <> ''"
        )

    def _history(self) -> str:
        at, version, source = self._free("_at"), self._free("_version"), self._free("_source")
        own = {"_table_id": '"_table_id"', "_overflow": '"_overflow"'}
        rows = []
        if self.snapshots:
            head = {at: _EXPORT_TIME, "_op": "'SNAPSHOT'", "_old_image": "CAST(NULL AS varchar)", **own}
            rows.append(self._rows(self.snapshots, {**head, source: '"export_time"'}))
        if self.changes:
            head = {at: '"_written_at"', "_op": '"_op"', "_old_image": '"_old_image"', **own}
            rows.append(self._rows(self.changes, {**head, source: '"export_window"'}))
        partition = ", ".join(['"_table_id"', *self._same_key()])
        # What an export shows was there before any write of the same moment.
        order = f"{quoted(at)}, CASE WHEN \"_op\" = 'SNAPSHOT' THEN 0 ELSE 1 END, {quoted(source)}"
        shown = _names([at, "_op", *self.attribute_columns, "_overflow", "_old_image", "_table_id", source])
        return (
            f"SELECT row_number() OVER (PARTITION BY {partition} ORDER BY {order}) AS {quoted(version)}, {shown}\nFROM (\n  "  # quoted
            + "\n  UNION ALL ".join(rows)
            + f"\n) WHERE {PLACE_OF_MARK} <> ''"
        )

    def _overflow(self) -> str:
        names = {name: self._free(f"_{name}") for name in ("source", "attribute", "type", "value", "values")}
        values, attribute = quoted(names["values"]), quoted(names["attribute"])
        rows = []
        for table, partition in ((self.snapshots, "export_time"), (self.changes, "export_window")):
            if table is None:
                continue
            keys = [_column(table, key.column, self.attribute_columns[key.column]) for key in self.keys]
            parsed = f'CAST(json_parse("_overflow") AS map(varchar, json)) AS {values}'
            source = f"{quoted(partition)} AS {quoted(names['source'])}"
            chosen = ", ".join([*keys, '"_table_id"', source, parsed])
            rows.append(f'SELECT {chosen} FROM {self._from(table)} WHERE "_overflow" IS NOT NULL')  # noqa: S608  # quoted
        tagged = f"element_at({values}, {attribute})"
        kind = f"element_at(map_keys(CAST({tagged} AS map(varchar, json))), 1) AS {quoted(names['type'])}"
        keys_shown = _names(key.column for key in self.keys)
        return (
            f"SELECT {keys_shown}, {attribute}, {kind}, json_format({tagged}) AS {quoted(names['value'])},"  # quoted
            f' {quoted(names["source"])}, "_table_id"\nFROM (\n  '
            + "\n  UNION ALL ".join(rows)
            + f"\n) CROSS JOIN UNNEST(map_keys({values})) AS o ({attribute})\nWHERE {PLACE_OF_MARK} <> ''"
        )


PLACE_OF_MARK = "'{the mark of this view}'"
"""Stands in a query where the mark will be."""


def digest_in(query: str) -> str | None:
    """Return the digest that a stored query carries; None if no view of ours was stored."""
    _, found, rest = query.partition("'" + MARK)
    return rest.partition("'")[0] if found else None


def _column(table: CatalogTable, name: str, wanted: str) -> str:
    """Return a column as the views show it: null where the table has it not yet."""
    as_it_is = quoted(name)
    has = table.columns.get(name)
    if has is not None and athena_type(has) == wanted:
        return as_it_is
    return f"CAST({'NULL' if has is None else as_it_is} AS {wanted}) AS {as_it_is}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def json_path(attribute: str) -> str:
    """Return the JSON path of a member, in the form that takes any name."""
    escaped = attribute.replace("\\", "\\\\").replace('"', '\\"')
    return f'$["{escaped}"]'


def quoted(name: str) -> str:
    """Return a name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL takes it, whatever it holds."""
    return "'" + text.replace("'", "''") + "'"
