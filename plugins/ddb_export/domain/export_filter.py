"""What a filtered export is asked for: AWS's FilterSpecification, checked as far as it can be without AWS.

Names are AWS's own (API reference, FilterSpecification): a filter expression, a projection, a key condition, and the names and
values that they refer to. Values are DynamoDB JSON, so that no number is ever rounded. Two filters are equal if they say the same: blanks in
an expression, the order of names and how a number is spelt make no difference, so that what DescribeExport gives back can be compared.

A filtered chain is no replica of its table. An incremental export looks at an item's newest image, or at the old one of a deleted item
(developer guide, "DynamoDB data export to Amazon S3", filtered exports): an item that stops matching leaves no record, and the lake keeps what it was before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ddb_export.domain.attribute_value import (
    AttributeValueError,
    canonical_text,
    decode_binary,
    encode_binary,
    validate_value,
)
from ddb_export.exceptions import ConfigurationError

LONGEST_EXPRESSION = 4096
"""Most bytes of one expression (developer guide, "Quotas": expression parameters)."""

NO_REPLICA = (
    "a filtered chain is no replica of the table: an item that no longer matches leaves no record, and the lake keeps its last"
    " state that did"
)
"""What everybody who reads a filtered lake has to know."""

_MEMBERS: Mapping[str, str] = {
    "expression": "FilterExpression",
    "projection": "ProjectionExpression",
    "key_condition": "KeyConditionExpression",
}
"""Our words for the three expressions, and AWS's."""

_PLACEHOLDER = re.compile(r"[#:][A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class ExportFilter:
    """What of a table an export holds.

    :param expression: condition that an item must meet (FilterExpression).
    :param projection: attributes that are exported, with commas between them (ProjectionExpression).
    :param key_condition: equality on one partition key, perhaps a comparison of the sort key (KeyConditionExpression).
    :param names: ``#name`` and the attribute that it stands for, in order (ExpressionAttributeNames).
    :param values: ``:value`` and its canonical DynamoDB JSON text, in order (ExpressionAttributeValues).
    """

    expression: str | None = None
    projection: str | None = None
    key_condition: str | None = None
    names: tuple[tuple[str, str], ...] = ()
    values: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls,
        expression: str | None = None,
        projection: str | None = None,
        key_condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> ExportFilter:
        """Make a filter of what a person wrote.

        :param names: such as ``{"#s": "status"}``. :param values: DynamoDB JSON, such as ``{":min": {"N": "5"}}``.
        :raises ConfigurationError: it is not one that AWS could take; its ``thing`` is the part that is wrong.
        """
        made = cls(
            _without_superfluous_blanks(expression),
            _without_superfluous_blanks(projection),
            _without_superfluous_blanks(key_condition),
            tuple(sorted((names or {}).items())),
            tuple(sorted((name, _canonical(name, value)) for name, value in (values or {}).items())),
        )
        made._require_expressions()
        made._require_placeholders()
        return made

    @property
    def expressions(self) -> dict[str, str]:
        """The expressions that there are, by AWS's names."""
        given = {member: getattr(self, word) for word, member in _MEMBERS.items()}
        return {member: text for member, text in given.items() if text}

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that tell filters apart, values included."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:12]

    def __str__(self) -> str:
        """Return it for people, by its names and without its values, which may be somebody's data."""
        names = dict(self.names)
        spelt = {
            member: _PLACEHOLDER.sub(lambda found: names.get(found[0], found[0]), text)
            for member, text in self.expressions.items()
        }
        return ", ".join(f"{member} {text}" for member, text in spelt.items()) + f" [{self.digest}]"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that :meth:`from_json` reads; the same keys as in YAML, without those that say nothing."""
        document: dict[str, Any] = {word: getattr(self, word) for word in _MEMBERS}
        document["names"] = dict(self.names)
        document["values"] = {name: json.loads(text) for name, text in self.values}
        return {key: value for key, value in document.items() if value}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ExportFilter:
        """Read what :meth:`to_json` wrote, or what YAML says.

        :raises ConfigurationError: it cannot be used, or has a key of no meaning.
        """
        known = (*_MEMBERS, "names", "values")
        if unknown := sorted(set(document) - set(known)):
            raise ConfigurationError(unknown[0], "is no part of a filter", f"write one of {', '.join(known)}")
        return cls.of(**document)

    def to_api(self) -> dict[str, Any]:
        """Return AWS's FilterSpecification as boto3 takes it."""
        specification: dict[str, Any] = dict(self.expressions)
        if self.names:
            specification["ExpressionAttributeNames"] = dict(self.names)
        if self.values:
            specification["ExpressionAttributeValues"] = {
                name: _with_binaries(json.loads(text), decode_binary) for name, text in self.values
            }
        return specification

    @classmethod
    def from_api(cls, specification: Mapping[str, Any]) -> ExportFilter:
        """Read what DescribeExport gives as boto3 returns it; AWS checked it before, so nothing is refused."""
        values = specification.get("ExpressionAttributeValues") or {}
        return cls(
            _without_superfluous_blanks(specification.get("FilterExpression")),
            _without_superfluous_blanks(specification.get("ProjectionExpression")),
            _without_superfluous_blanks(specification.get("KeyConditionExpression")),
            names=tuple(sorted((specification.get("ExpressionAttributeNames") or {}).items())),
            values=tuple(
                sorted((name, canonical_text(_with_binaries(value, encode_binary))) for name, value in values.items())
            ),
        )

    def _require_expressions(self) -> None:
        # DynamoDB answers an empty structure with ValidationException (probe of the live service).
        if not self.expressions:
            raise ConfigurationError("filter", "has no expression", f"write one of {', '.join(_MEMBERS)}, or no filter")
        for word in _MEMBERS:
            length = len((getattr(self, word) or "").encode())
            if (getattr(self, word) or "").endswith((",", "=")):
                raise ConfigurationError(word, "ends in the middle", f"write all of it; {_IN_QUOTES}")
            if length > LONGEST_EXPRESSION:
                cause = f"has {length} bytes, more than the {LONGEST_EXPRESSION} that DynamoDB takes"
                raise ConfigurationError(word, cause, "write a shorter expression")

    def _require_placeholders(self) -> None:
        used = {found for text in self.expressions.values() for found in _PLACEHOLDER.findall(text)}
        for word, sign, declared in (("names", "#", dict(self.names)), ("values", ":", dict(self.values))):
            for name in declared:
                if name[:1] != sign or _PLACEHOLDER.fullmatch(name) is None:
                    cause = f"has '{name}', which is no placeholder"
                    raise ConfigurationError(
                        word, cause, f"write '{sign}' and letters, digits or '_', such as '{sign}a'"
                    )
            if missing := sorted(each for each in used if each[0] == sign and each not in declared):
                cause = f"lacks '{missing[0]}', which an expression uses"
                raise ConfigurationError(word, cause, f"add it: {word}: {{'{missing[0]}': {_EXAMPLES[word]}}}")
            if unused := sorted(set(declared) - used):
                # DynamoDB refuses them: "Value provided in ExpressionAttributeValues unused in expressions".
                cause = f"has '{unused[0]}', which no expression uses"
                raise ConfigurationError(word, cause, f"leave it out, or use it in an expression; {_IN_QUOTES}")


_IN_QUOTES = "put expressions in quotes, as YAML takes ' #' for the beginning of a comment"
_EXAMPLES: Mapping[str, str] = {"names": "ATTRIBUTE", "values": "{S: TEXT}"}


def _without_superfluous_blanks(text: str | None) -> str | None:
    """Return an expression with one blank wherever there were some: values stand outside of it, so that none is changed."""
    return " ".join(text.split()) or None if text else None


def _canonical(name: str, value: Any) -> str:
    try:
        validate_value(value)
    except AttributeValueError as error:
        remedy = (
            f"write its type and its text in quotes, such as {{'{name}': {{N: '5'}}}} or {{'{name}': {{S: 'text'}}}}"
        )
        raise ConfigurationError("values", f"has '{name}', of which {error}", remedy) from None
    return canonical_text(value)


def _with_binaries(value: Mapping[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a tagged value with its binaries as boto3 has them (bytes), or as DynamoDB JSON has them (base64)."""
    ((tag, payload),) = value.items()
    if tag == "B":
        return {tag: convert(payload)}
    if tag == "BS":
        return {tag: [convert(each) for each in payload]}
    if tag == "L":
        return {tag: [_with_binaries(each, convert) for each in payload]}
    if tag == "M":
        return {tag: {name: _with_binaries(each, convert) for name, each in payload.items()}}
    return {tag: payload}


def filter_of(document: Mapping[str, Any] | None) -> ExportFilter | None:
    """Return the filter that a declaration or a ledger names; None where it names none.

    :raises ConfigurationError: it cannot be used.
    """
    return ExportFilter.from_json(document) if document is not None else None


def words_of(export_filter: ExportFilter | None) -> str:
    """Return a filter for people, or that there is none."""
    return str(export_filter) if export_filter else "no filter"


__all__ = ["LONGEST_EXPRESSION", "NO_REPLICA", "ExportFilter", "filter_of", "words_of"]
