"""Groups of an export's data files: what one mapped task reads, and the names of what it leaves for the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddb_export.domain.ledger import VerifiedEntry
    from ddb_export.pipeline.conversion import Generation

MOST_GROUPS = 1024
"""Most items that Airflow maps a task over (``[core] max_map_length``)."""

GROUP_BYTES = 32 * 1024 * 1024
"""Compressed bytes that are worth a mapped task of their own: starting a task takes seconds, converting this much too."""


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Some of an export's data files: every ``groups``-th of the manifest, beginning at ``group``.

    :param export: name of the attempt. :param schema_version: columns to convert to; None before they are known.
    """

    export: str
    group: int
    groups: int
    schema_version: int | None = None

    def indexes(self, files: int) -> range:
        """Return the places in the manifest of its files."""
        return range(self.group, files, self.groups)

    @property
    def name(self) -> str:
        """Its name in notes."""
        return f"{self.group:04d}-of-{self.groups:04d}"

    @property
    def statistics_path(self) -> str:
        """Where its statistics lie, below the ledger."""
        return f"statistics/{self.export}/{self.name}.json"

    def converted_path(self, generation: Generation) -> str:
        """Where the list of its converted parts lies, below the ledger."""
        return f"converted/{self.export}/{generation.name}/{self.name}.json"

    def to_xcom(self) -> dict[str, Any]:
        """Return a flat JSON object; its keys are the arguments of the mapped operators."""
        return {
            "export": self.export,
            "group": self.group,
            "groups": self.groups,
            **({} if self.schema_version is None else {"schema_version": self.schema_version}),
        }

    @classmethod
    def from_xcom(cls, document: Mapping[str, Any]) -> FileGroup:
        """Read what :meth:`to_xcom` wrote."""
        version = document.get("schema_version")
        return cls(
            document["export"],
            int(document["group"]),
            int(document["groups"]),
            None if version is None else int(version),
        )


def group_files(entries: Sequence[VerifiedEntry], most_groups: int) -> list[FileGroup]:
    """Cut the data files of exports into groups, at least one an export, never more than Airflow maps over."""
    allowed = max(1, min(most_groups, MOST_GROUPS // max(1, len(entries))))
    groups = []
    for entry in entries:
        count = max(1, min(allowed, entry.files, -(-entry.bytes_read // GROUP_BYTES)))
        groups += [FileGroup(entry.export, group, count) for group in range(count)]
    return groups


def by_export(groups: Iterable[FileGroup]) -> list[list[FileGroup]]:
    """Return the groups of each export, exports in the order of their first group."""
    found: dict[str, list[FileGroup]] = {}
    for group in groups:
        found.setdefault(group.export, []).append(group)
    return list(found.values())
