"""What a table's owner fixes about its columns, beyond what follows from the data.

A contract types, renames, drops and hashes attributes, bounds the columns, and says what becomes of values that a column cannot hold.
Without one nothing changes: the same bytes under the same names. What it drops or hashes is so in every output alike: typed columns,
``_old_image``, ``_overflow`` and quarantine; raw exports stay as AWS wrote them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Any

from ddb_export.domain.attribute_value import AttributeValue, canonical_text
from ddb_export.domain.column_types import DeclaredType, parse_declared_type
from ddb_export.domain.entities import Entities
from ddb_export.domain.redaction import Redaction
from ddb_export.domain.statistics import AttributeStatistics, ExportStatistics
from ddb_export.exceptions import ConfigurationError, ConversionError

DEFAULT_COLUMN_LIMIT = 1000
"""Most attribute columns of a table. Each open column costs memory in every writer and reader; a table with
more attributes has usually put data into attribute names. What is past the limit stays exact in ``_overflow``."""

_KEY_CHECK = b"ddb_export contract key"


class OnViolation(StrEnum):
    """What becomes of a value, other than NULL, that its attribute's column cannot hold exactly."""

    OVERFLOW = "overflow"
    """The value goes to ``_overflow``; the row stays."""
    QUARANTINE = "quarantine"
    """The row's line goes to quarantine."""
    FAIL = "fail"
    """The conversion fails."""


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """What is fixed about one attribute.

    :ivar attribute: its exact name.
    :ivar type: the type of its column, as :func:`~ddb_export.domain.column_types.parse_declared_type` reads it.
    :ivar unit: ``s``, ``ms`` or ``us``: what the epoch numbers of a timestamp count.
    :ivar name: name of its column.
    :ivar drop: whether it is in no output. :ivar hash: whether its value is replaced by a keyed hash.
    """

    attribute: str
    type: str | None = None
    unit: str | None = None
    name: str | None = None
    drop: bool = False
    hash: bool = False

    @property
    def declared_type(self) -> DeclaredType | None:
        """The type, read; that of hashes is ``string``."""
        if self.hash:
            return DeclaredType("string")
        return None if self.type is None else parse_declared_type(self.type)

    def to_json(self) -> dict[str, Any]:
        """Return the members that are not at their default, without ``attribute``."""
        written = {name: getattr(self, name) for name in ("type", "unit", "name", "drop", "hash")}
        return {name: value for name, value in written.items() if value}


@dataclass(frozen=True)
class Contract:
    """What is fixed about a table's columns; the default fixes nothing.

    :ivar rules: one for each attribute that something is fixed about.
    :ivar column_limit: most attribute columns.
    :ivar on_violation: what becomes of values that do not fit.
    :ivar quarantine_limit: most lines of an export that may be quarantined, as digits, or as percent such as ``0.1%``; None for no limit.
    :ivar hash_conn_id: Airflow connection whose password is the key of the hashes.
    :ivar key: that key, where it is at hand; never shown, never written.
    :ivar entities: how items are told apart that are shown in views of their own; None for none.
    """

    rules: tuple[ColumnRule, ...] = ()
    column_limit: int = DEFAULT_COLUMN_LIMIT
    on_violation: OnViolation = OnViolation.OVERFLOW
    quarantine_limit: str | None = None
    hash_conn_id: str | None = None
    key: bytes | None = field(default=None, repr=False)
    entities: Entities | None = None

    @cached_property
    def by_attribute(self) -> Mapping[str, ColumnRule]:
        """Attribute → its rule."""
        return {rule.attribute: rule for rule in self.rules}

    @cached_property
    def dropped(self) -> frozenset[str]:
        """The attributes that are in no output."""
        return frozenset(rule.attribute for rule in self.rules if rule.drop)

    @cached_property
    def hashed(self) -> frozenset[str]:
        """The attributes whose values are replaced by hashes."""
        return frozenset(rule.attribute for rule in self.rules if rule.hash)

    @property
    def redacts(self) -> bool:
        """Whether it takes anything out of the data; then lines are never kept whole."""
        return bool(self.dropped or self.hashed)

    @property
    def redaction(self) -> Redaction:
        """What it takes out of the data; the key of the hashes is in it by digest, where it is at hand."""
        digest = self.key_digest if self.hashed and self.key else None
        return Redaction(self.dropped, self.hashed, digest, self.entities.fingerprint if self.entities else None)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of all that decides what files hold; empty if nothing does."""
        rules = [[rule.attribute, rule.to_json()] for rule in sorted(self.rules, key=lambda rule: rule.attribute)]
        rules = [rule for rule in rules if rule[1]]
        moves = self.on_violation is OnViolation.QUARANTINE
        if not rules and not moves and not self.entities:
            return ""
        # The files are the same whatever the entities; but what is found out about them while they are made is not.
        more = [self.entities.fingerprint] if self.entities else []
        text = json.dumps([rules, str(OnViolation.QUARANTINE) if moves else None, *more])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def version(self) -> str:
        """What is added to the converter's version: fingerprint and digest of the key; empty if nothing decides what files hold.

        :raises ConfigurationError: values are to be hashed, and there is no key.
        """
        if not self.fingerprint:
            return ""
        return f"+contract={self.fingerprint}" + (f"+key={self.key_digest}" if self.hashed else "")

    @property
    def key_digest(self) -> str:
        """16 hex digits that tell keys apart and do not give them away.

        :raises ConfigurationError: there is no key.
        """
        return hmac.digest(self.required_key, _KEY_CHECK, "sha256").hex()[:16]

    @property
    def required_key(self) -> bytes:
        """The key of the hashes.

        :raises ConfigurationError: it is not at hand.
        """
        if not self.key:
            where = f"the Airflow connection {self.hash_conn_id}" if self.hash_conn_id else "a connection"
            raise ConfigurationError(
                "contract",
                f"it hashes {', '.join(map(repr, sorted(self.hashed)))}, and the key is not at hand",
                f"put a key into the password of {where} (contract.hash_conn_id), or for the command line into DDB_EXPORT_HASH_KEY",
            )
        return self.key

    def with_key(self, key: str | bytes | None) -> Contract:
        """Return the contract with the key of its hashes; text is UTF-8."""
        return replace(self, key=key.encode() if isinstance(key, str) else key)

    def hash_of(self, value: AttributeValue) -> dict[str, Any]:
        """Return what stands for a value: ``{"S": hex HMAC-SHA256 of its canonical text}``; NULL stays NULL.

        Equal values have equal hashes, however they are written (:func:`~ddb_export.domain.attribute_value.canonical_text`).
        """
        if "NULL" in value:
            return dict(value)
        return {"S": hmac.digest(self.required_key, canonical_text(value).encode(), "sha256").hex()}

    def redacted(self, image: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an image as outputs may show it; the image itself if nothing in it changes."""
        if not self.redacts:
            return image
        return {
            name: self.hash_of(value) if name in self.hashed else value
            for name, value in image.items()
            if name not in self.dropped
        }

    def statistics(self, statistics: ExportStatistics) -> ExportStatistics:
        """Return what a scan would have found in the redacted images; rows and lines as they are."""
        if not self.redacts:
            return statistics
        attributes = {
            name: _hashed(seen) if name in self.hashed else seen
            for name, seen in statistics.attributes.items()
            if name not in self.dropped
        }
        return replace(statistics, attributes=attributes)

    def require_quarantine(self, thing: str, quarantined: int, lines: int) -> None:
        """Refuse an export with more quarantined lines than the limit allows.

        :param thing: what errors call the export. :param lines: of the export.
        :raises ConversionError: there are more.
        """
        if self.quarantine_limit is None:
            return
        limit = self.quarantine_limit
        allowed = Fraction(limit.rstrip("%")) * (Fraction(lines, 100) if limit.endswith("%") else 1)
        if quarantined > allowed:
            raise ConversionError(
                thing,
                f"{quarantined} of {lines} lines were quarantined, more than contract.quarantine_limit ({limit}) allows; nothing was published",
                "look at the reasons in quarantine/; then declare a type that the values fit, mend the writer and export again, or raise the limit; then run this again",
            )

    def to_json(self) -> dict[str, Any]:
        """Return all but the key, in the form of the configuration; ``{}`` for the default."""
        document: dict[str, Any] = {}
        if self.rules:
            document["columns"] = {rule.attribute: rule.to_json() for rule in self.rules}
        if self.column_limit != DEFAULT_COLUMN_LIMIT:
            document["column_limit"] = self.column_limit
        if self.on_violation is not OnViolation.OVERFLOW:
            document["on_violation"] = str(self.on_violation)
        for name in ("quarantine_limit", "hash_conn_id"):
            if getattr(self, name) is not None:
                document[name] = getattr(self, name)
        if self.entities:
            document["entities"] = self.entities.to_json()
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Contract:
        """Read what :meth:`to_json` wrote; nothing for the default."""
        document = document or {}
        return cls(
            tuple(ColumnRule(attribute, **rule) for attribute, rule in document.get("columns", {}).items()),
            int(document.get("column_limit", DEFAULT_COLUMN_LIMIT)),
            OnViolation(document.get("on_violation", OnViolation.OVERFLOW)),
            document.get("quarantine_limit"),
            document.get("hash_conn_id"),
            entities=Entities.from_json(document["entities"]) if document.get("entities") else None,
        )


NO_CONTRACT = Contract()
"""Fixes nothing."""


def _hashed(seen: AttributeStatistics) -> AttributeStatistics:
    nulls = seen.counts.get("NULL", 0)
    counts = {"S": seen.rows - nulls, "NULL": nulls}
    return AttributeStatistics({tag: rows for tag, rows in counts.items() if rows})
