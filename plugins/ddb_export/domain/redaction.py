"""What a contract takes out of the data, and which published partitions were made when it took out something else.

A rule that drops or hashes goes for what is converted from then on. What was published before stays readable as it was made, until
it is rewritten; so each partition's evidence carries what was taken out of it, and whoever asks is told what is left to rewrite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddb_export.domain.evidence import PublishedEntry

PLAIN = "plain"
DROPPED = "dropped"
HASHED = "hashed"
OTHER_KEY = "hashed with another key"
NOT_SPLIT = "not looked at"
ENTITIES = "columns of the entities"
"""What stands in an attribute's place where partitions are not as the contract's entities ask."""

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Redaction:
    """What is taken out of the data.

    :ivar dropped: attributes that are in no output. :ivar hashed: those whose values are replaced by hashes.
    :ivar key: digest of the key of the hashes; None where nothing is hashed, or the key is not at hand.
    :ivar entities: fingerprint of the entities whose columns were found out; None for none.
    """

    dropped: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()
    key: str | None = None
    entities: str | None = None

    def of(self, attribute: str) -> str:
        """Return what becomes of an attribute: ``plain``, ``dropped`` or ``hashed``."""
        if attribute in self.dropped:
            return DROPPED
        return HASHED if attribute in self.hashed else PLAIN

    def differences(self, made: Redaction | None) -> dict[str, str]:
        """Return attribute → what became of it in a partition, for each that something else would become of now.

        Keys are compared where both are known.

        :param made: what was taken out of the partition; None where its evidence does not say it.
        """
        split = {ENTITIES: NOT_SPLIT} if self.entities and (made is None or made.entities != self.entities) else {}
        if made is None:
            return {**dict.fromkeys(sorted(self.dropped | self.hashed), UNKNOWN), **split}
        names = sorted(self.dropped | self.hashed | made.dropped | made.hashed)
        found = {name: made.of(name) for name in names if made.of(name) != self.of(name)}
        if self.key and made.key and self.key != made.key:
            found.update(dict.fromkeys(sorted(self.hashed & made.hashed), OTHER_KEY))
        return {**found, **split}

    def to_json(self) -> dict[str, Any]:
        """Return ``{"dropped": [...], "hashed": [...], "key": digest}``, without what is empty; entities take nothing out."""
        document: dict[str, Any] = {"dropped": sorted(self.dropped), "hashed": sorted(self.hashed), "key": self.key}
        return {name: value for name, value in document.items() if value}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Redaction:
        """Read what :meth:`to_json` wrote."""
        return cls(
            frozenset(document.get("dropped", ())),
            frozenset(document.get("hashed", ())),
            document.get("key"),
            document.get("entities"),
        )


NOTHING = Redaction()
"""Takes nothing out."""


@dataclass(frozen=True, slots=True)
class StaleLine:
    """An attribute that published partitions show in another way than the contract says.

    :ivar made: what became of it there. :ivar wanted: what the contract makes of it now.
    :ivar exports: names of the attempts behind these partitions, in order.
    """

    attribute: str
    made: str
    wanted: str
    exports: tuple[str, ...]

    @property
    def words(self) -> str:
        """The line for people."""
        count = len(self.exports)
        where = self.exports[0] if count == 1 else f"{count} partitions, {self.exports[0]} to {self.exports[-1]}"
        return f"{difference_words(self.attribute, self.made, self.wanted)}; {where}"

    def to_json(self) -> dict[str, Any]:
        """Return a flat object."""
        return {
            "attribute": self.attribute,
            "made": self.made,
            "contract": self.wanted,
            "exports": len(self.exports),
            "first": self.exports[0],
            "last": self.exports[-1],
        }


def stale_lines(shown: Iterable[PublishedEntry], wanted: Redaction) -> list[StaleLine]:
    """Sum up which partitions were made when the contract dropped or hashed something else.

    Whether an export has the attribute at all is not asked: an old image can have what no column does.

    :param shown: what readers see. :param wanted: what the contract says now.
    """
    exports: dict[tuple[str, str], list[str]] = {}
    for entry in sorted(shown, key=lambda entry: entry.export):
        for attribute, made in wanted.differences(made_under(entry)).items():
            exports.setdefault((attribute, made), []).append(entry.export)
    return [
        StaleLine(attribute, made, wanted.of(attribute), tuple(found))
        for (attribute, made), found in sorted(exports.items())
    ]


def made_under(entry: PublishedEntry) -> Redaction | None:
    """Return what was taken out of a partition; None where its evidence does not say it."""
    if entry.redaction is None:
        return None
    return replace(Redaction.from_json(entry.redaction), entities=entry.entities["rules"] if entry.entities else None)


def difference_words(attribute: str, made: str, wanted: str) -> str:
    """Return in words what became of an attribute, and what the contract says."""
    if attribute == ENTITIES:
        return f"{attribute}: {made}, and the contract declares entities; their views show every column of before"
    says = {DROPPED: "drops it", HASHED: "hashes it", PLAIN: "has no such rule"}[wanted]
    return f"{attribute}: {made}, and the contract {'hashes it by this one' if made == OTHER_KEY else says}"
