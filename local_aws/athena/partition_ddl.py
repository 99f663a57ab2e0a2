"""ALTER TABLE … ADD|DROP PARTITION and MSCK REPAIR TABLE, and the reader of words that such statements need."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import unquote

from sqlglot.dialects.hive import Hive
from sqlglot.tokenizer_core import Token, TokenType

from local_aws import glue
from local_aws.athena import catalog
from local_aws.athena.catalog import Table
from local_aws.athena.errors import QueryFailed
from local_aws.athena.files import storage_failure
from local_aws.athena.results import Result, text_column
from local_aws.athena.storage import Storage, StorageError
from local_aws.glue_catalog import GlueError

_ADD_AT_ONCE = 100


class _Words(Hive.Tokenizer):
    """Hive's words and quotes without its keywords: each word is one token."""

    COMMANDS: ClassVar[set[TokenType]] = set()
    KEYWORDS: ClassVar[dict[str, TokenType]] = {}


class Cursor:
    """Reads a statement word by word; quoted words come without their quotes."""

    def __init__(self, text: str) -> None:
        self._tokens: list[Token] = [
            token for token in _Words().tokenize(text) if token.token_type != TokenType.SEMICOLON
        ]
        self._at = 0

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._tokens)

    def take(self, *words: str) -> bool:
        """Step over `words` if they come next."""
        ahead = self._tokens[self._at : self._at + len(words)]
        if [token.text.upper() for token in ahead] != list(words):
            return False
        self._at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Step over `words`; raises QueryFailed if they do not come next."""
        if not self.take(*words):
            raise self.unexpected()

    def next_text(self) -> str:
        """The next word."""
        if self.at_end:
            raise self.unexpected()
        self._at += 1
        return self._tokens[self._at - 1].text

    def table(self, database: str) -> Table:
        """The table that is named next; raises QueryFailed if Glue has none."""
        first = self.next_text()
        schema, name = (first, self.next_text()) if self.take(".") else (database, first)
        found = catalog.find_table(schema, name)
        if found is None:
            where = f"{schema}.{name}".lower()
            raise QueryFailed("FAILED", f"SemanticException [Error 10001]: Table not found {where}")
        return found

    def pairs(self) -> dict[str, str]:
        """`(name = value, …)`."""
        found = {}
        self.expect("(")
        while not self.take(")"):
            name = self.next_text()
            self.expect("=")
            found[name] = self.next_text()
            self.take(",")
        return found

    def unexpected(self) -> QueryFailed:
        """The failure to understand what comes next."""
        word = "<EOF>" if self.at_end else self._tokens[self._at].text
        where = f"line {self._tokens[self._at].line}" if not self.at_end else "the end"
        return QueryFailed("FAILED", f"ParseException {where}: cannot recognize input near '{word}'")


def alter(text: str, database: str) -> None:
    """ALTER TABLE name ADD [IF NOT EXISTS] PARTITION (…) [LOCATION …] …, or DROP [IF EXISTS] PARTITION (…), …."""
    cursor = Cursor(text)
    cursor.expect("ALTER", "TABLE")
    table = cursor.table(database)
    if cursor.take("ADD"):
        _add(table, cursor)
    elif cursor.take("DROP"):
        _drop(table, cursor)
    else:
        raise QueryFailed("NOT_SUPPORTED", "The lab's Athena alters partitions only: ADD PARTITION or DROP PARTITION")


def repair(text: str, database: str, storage: Storage) -> Result:
    """MSCK REPAIR TABLE: registers the folders `key=value/…` below the table's location that Glue does not know."""
    cursor = Cursor(text)
    cursor.expect("MSCK", "REPAIR")
    cursor.expect("TABLE")
    table = cursor.table(database)
    known = {partition.values for partition in catalog.partitions(table)}
    folders = _folders(table, storage)
    missing = [(values, place) for values, place in sorted(folders.items()) if values not in known]
    for start in range(0, len(missing), _ADD_AT_ONCE):
        inputs = [_input(table, values, place) for values, place in missing[start : start + _ADD_AT_ONCE]]
        glue.call(
            "BatchCreatePartition",
            {"DatabaseName": table.database, "TableName": table.name, "PartitionInputList": inputs},
        )
    names = [f"{table.name}:{_label(table, values)}" for values, _ in missing]
    rows: list[list[str | None]] = [[f"Partitions not in metastore:\t{chr(9).join(names)}"]] if names else []
    rows += [[f"Repair: Added partition to metastore {name}"] for name in names]
    return Result([text_column("result")], rows)


def _add(table: Table, cursor: Cursor) -> None:
    lenient = cursor.take("IF", "NOT", "EXISTS")
    while not cursor.at_end:
        cursor.expect("PARTITION")
        values = _values(table, cursor.pairs())
        default = f"{table.place.location.rstrip('/')}/{_label(table, values)}/"
        place = cursor.next_text() if cursor.take("LOCATION") else default
        request = {
            "DatabaseName": table.database,
            "TableName": table.name,
            "PartitionInput": _input(table, values, place),
        }
        try:
            glue.call("CreatePartition", request)
        except GlueError as error:
            if error.code != "AlreadyExistsException" or not lenient:
                raise


def _drop(table: Table, cursor: Cursor) -> None:
    lenient = cursor.take("IF", "EXISTS")
    while not cursor.at_end:
        cursor.expect("PARTITION")
        values = _values(table, cursor.pairs())
        cursor.take(",")
        request = {"DatabaseName": table.database, "TableName": table.name, "PartitionValues": list(values)}
        try:
            glue.call("DeletePartition", request)
        except GlueError as error:
            if error.code != "EntityNotFoundException" or not lenient:
                raise


def _values(table: Table, given: dict[str, str]) -> tuple[str, ...]:
    folded = {name.lower(): value for name, value in given.items()}
    if set(folded) != {key.name for key in table.keys}:
        raise QueryFailed("FAILED", f"SemanticException partition spec {given} doesn't contain all partition columns")
    return tuple(folded[key.name] for key in table.keys)


def _label(table: Table, values: tuple[str, ...]) -> str:
    return "/".join(f"{key.name}={value}" for key, value in zip(table.keys, values, strict=True))


def _input(table: Table, values: tuple[str, ...], place: str) -> dict[str, Any]:
    descriptor = {**(table.definition.get("StorageDescriptor") or {}), "Location": place}
    return {"Values": list(values), "StorageDescriptor": descriptor}


def _folders(table: Table, storage: Storage) -> dict[tuple[str, ...], str]:
    root = table.place.location.rstrip("/") + "/"
    found: dict[tuple[str, ...], str] = {}
    try:
        for stored in storage.list_objects(root):
            parts = stored.uri[len(root) :].split("/")[: len(table.keys)]
            pairs = [part.partition("=") for part in parts]
            if [name.lower() for name, sign, _ in pairs if sign] == [key.name for key in table.keys]:
                found.setdefault(tuple(unquote(value) for _, _, value in pairs), root + "/".join(parts) + "/")
    except StorageError as error:
        raise storage_failure(error) from error
    return found
