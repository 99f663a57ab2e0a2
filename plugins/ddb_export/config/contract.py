"""The ``contract`` block of a table: what its owner fixes about columns, as YAML says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from ddb_export.config.explain import read_part
from ddb_export.config.fields import Accepts, Switch, matching
from ddb_export.config.problems import refuse
from ddb_export.domain.column_types import ACCEPTED_TYPES, DeclaredTypeError, parse_declared_type
from ddb_export.domain.contract import DEFAULT_COLUMN_LIMIT, ColumnRule, Contract, OnViolation
from ddb_export.domain.entities import ENTITY_VIEWS, Entities
from ddb_export.domain.schema import RESERVED_NAMES

_LIMIT_PATTERN = r"[0-9]{1,12}|(100|[0-9]{1,2})(\.[0-9]{1,9})?%"
_MOST_COLUMNS = 2500


def _declared_type(value: str) -> str:
    try:
        return parse_declared_type(value).text
    except DeclaredTypeError as error:
        refuse(str(error), error.remedy)


def _column_name(value: str) -> str:
    if value in RESERVED_NAMES:
        refuse("is the name of a column that every table has", "write another name")
    return value


def _quarantine_limit(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    if not isinstance(value, str) or re.fullmatch(_LIMIT_PATTERN, value) is None:
        refuse("is neither a number of lines nor a percentage")
    return value


DeclaredTypeText = Annotated[
    Annotated[str, AfterValidator(_declared_type)] | None,
    Accepts(ACCEPTED_TYPES),
]
ColumnName = Annotated[
    Annotated[
        str,
        matching(r"[a-z0-9_]{1,255}", "is not a name that Glue and Athena take as it is"),
        AfterValidator(_column_name),
    ]
    | None,
    Accepts("1 to 255 lower-case letters, digits, '_'"),
]
Unit = Annotated[Literal["s", "ms", "us"] | None, Accepts("s, ms or us, what the epoch numbers count")]
Violation = Annotated[Literal["overflow", "quarantine", "fail"], Accepts("overflow, quarantine or fail")]
QuarantineLimit = Annotated[
    Annotated[
        str,
        BeforeValidator(_quarantine_limit),
        WithJsonSchema(
            {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^({_LIMIT_PATTERN})$"}]}
        ),
    ]
    | None,
    Accepts("a number of lines such as 100, a percentage in quotes such as '0.1%', or null for no limit"),
]
HashConnection = Annotated[
    Annotated[str, matching(r"[\w#!()\-.:/\\]{1,250}", "is not a connection id")] | None,
    Accepts("the id of an Airflow connection, whose password is the key of the hashes"),
]


_ENTITY = r"[a-z0-9_]{1,64}"
_LONGEST_KEY = 2048
_TEXT_SCHEMA = {"type": "string", "minLength": 1, "maxLength": _LONGEST_KEY}
_EQUALS_SCHEMA = {
    "type": "object",
    "properties": {"equals": _TEXT_SCHEMA},
    "required": ["equals"],
    "additionalProperties": False,
}


def _entity_tables(value: Any) -> Any:
    if not isinstance(value, Mapping) or not value:
        refuse("names no entity")
    for name, match in value.items():
        if not isinstance(name, str) or re.fullmatch(_ENTITY, name) is None:
            refuse(
                f"names the entity '{name}', and Glue and Athena do not take that as it is",
                "write 1 to 64 lower-case letters, digits, '_'",
            )
        text = match["equals"] if isinstance(match, Mapping) and set(match) == {"equals"} else match
        if not isinstance(text, str) or not 1 <= len(text) <= _LONGEST_KEY:
            refuse(f"does not say what tells '{name}'", "write a pattern such as 'ORDER#*', or {equals: TEXT}")
    return value


EntityTables = Annotated[
    Mapping[str, str | Mapping[str, str]],
    BeforeValidator(_entity_tables),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": f"^{_ENTITY}$"},
            "additionalProperties": {"anyOf": [_TEXT_SCHEMA, _EQUALS_SCHEMA]},
        }
    ),
    Accepts("a mapping of entities to patterns such as 'ORDER#*', or to {equals: TEXT}"),
]


class ColumnConfiguration(BaseModel):
    """What is fixed about one attribute and its column."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    type: DeclaredTypeText = Field(None, description="Type of its column, in Hive's words; default: from the data.")
    unit: Unit = Field(None, description="What the epoch numbers of a timestamp count: s, ms or us.")
    name: ColumnName = Field(None, description="Name of its column; default: the attribute's, in lower case.")
    drop: Switch = Field(False, description="Leave the attribute out of every output.")
    hash: Switch = Field(False, description="Replace its values by a keyed hash (HMAC-SHA256) in every output.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.drop and (self.type or self.name or self.hash):
            refuse(
                "leaves no column that the other keys could be about", "leave out the other keys, or drop", key="drop"
            )
        if self.hash and self.type:
            refuse("is given, but a hash is always string", "leave out the key 'type'", key="type")
        has_timestamps = bool(self.type and parse_declared_type(self.type).has_timestamps)
        if has_timestamps and not self.unit:
            refuse("needs the unit of the epoch numbers", "add unit: s, ms or us beside it", key="type")
        if self.unit and not has_timestamps:
            refuse(
                "is given, but the type has no timestamp",
                "write type: timestamp, or leave out the key 'unit'",
                key="unit",
            )
        return self


class EntitiesConfiguration(BaseModel):
    """How the items of a single-table design are told apart; each entity has views of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    attribute: Annotated[str, Field(min_length=1), Accepts("the exact name of an attribute")] = Field(
        description="Attribute whose text (S) tells them, by its exact name; best a key."
    )
    tables: EntityTables = Field(
        description="Name of the entity → the pattern of the text, * for any characters; or {equals: text}."
    )

    @property
    def entities(self) -> Entities:
        """The entities as views and conversion know them."""
        return Entities.from_json({"attribute": self.attribute, "tables": dict(sorted(self.tables.items()))})


class ContractConfiguration(BaseModel):
    """What is fixed about a table's columns; without it types and names follow from the data."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    columns: Annotated[
        Mapping[str, ColumnConfiguration], Accepts("a mapping of attributes to what is fixed about them")
    ] = Field(default_factory=dict, description="Attribute, by its exact name → what is fixed about it.")
    column_limit: Annotated[
        int, Field(ge=1, le=_MOST_COLUMNS), Accepts(f"a whole number from 1 to {_MOST_COLUMNS}")
    ] = Field(DEFAULT_COLUMN_LIMIT, description="Most columns; the attributes past it stay exact in _overflow.")
    on_violation: Violation = Field(
        "overflow",
        description="What becomes of a value that its column cannot hold: to _overflow, its line to quarantine, or fail.",
    )
    quarantine_limit: QuarantineLimit = Field(
        None, description="Most lines of an export that may be quarantined, a number or a percentage; null: no limit."
    )
    hash_conn_id: HashConnection = Field(
        None, description="Airflow connection whose password is the key of the hashes."
    )

    entities: EntitiesConfiguration | None = Field(
        None,
        description="How the items of a single-table design are told apart, which get views of their own; null: not at all.",
    )

    @model_validator(mode="after")
    def _entities_can_be_told(self) -> Self:
        if self.entities is None:
            return self
        rule = self.columns.get(self.entities.attribute)
        if rule and (rule.drop or rule.hash):
            what = "dropped" if rule.drop else "hashed"
            refuse(
                f"is told by '{self.entities.attribute}', which is {what}",
                "tell them by another attribute",
                key="entities",
            )
        if rule and rule.type not in (None, "string"):
            refuse(
                f"is told by the text of '{self.entities.attribute}', whose column is declared {rule.type}",
                f"leave out the type of '{self.entities.attribute}', or tell them by another attribute",
                key="entities",
            )
        names = self.entity_views
        if twice := sorted({name for name in names if names.count(name) > 1}):
            refuse(f"gives two views the name '{twice[0]}'", "rename an entity", key="entities")
        return self

    @property
    def entity_views(self) -> tuple[str, ...]:
        """What follows the table's Glue name in the names of the entities' views."""
        names = sorted(self.entities.tables) if self.entities else ()
        return tuple(name + suffix for name in names for suffix in ENTITY_VIEWS)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        hashed = sorted(attribute for attribute, column in self.columns.items() if column.hash)
        if hashed and not self.hash_conn_id:
            refuse(
                f"names no connection, and the values of '{hashed[0]}' are to be hashed",
                "add hash_conn_id: the Airflow connection whose password is the key",
                key="hash_conn_id",
            )
        holders: dict[str, str] = {}
        for attribute, column in self.columns.items():
            if column.name and (other := holders.setdefault(column.name, attribute)) != attribute:
                refuse(
                    f"gives '{other}' and '{attribute}' the same name '{column.name}'",
                    "rename one of them",
                    key="columns",
                )
        return self

    @classmethod
    def declare(cls, document: Mapping[str, Any]) -> Self:
        """Read a contract in the form of the YAML files, with their errors.

        :raises ConfigurationError: the first thing that is wrong, in one line.
        """
        return read_part(cls, document, "contract")

    @property
    def contract(self) -> Contract:
        """The contract as the conversion knows it, without the key of its hashes."""
        rules = tuple(
            ColumnRule(attribute, column.type, column.unit, column.name, column.drop, column.hash)
            for attribute, column in sorted(self.columns.items())
        )
        return Contract(
            rules,
            self.column_limit,
            OnViolation(self.on_violation),
            self.quarantine_limit,
            self.hash_conn_id,
            entities=self.entities.entities if self.entities else None,
        )
