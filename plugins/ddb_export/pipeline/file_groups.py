"""Groups of an export's data files: what one mapped task reads, and the names of what it leaves for the next.

Which files a group has follows from the manifest alone, so that every task of a run, on whatever worker and however often, finds the
same ones. The manifest names no sizes, but the items of each file: groups are balanced by them, the largest file first, each to
the group that has fewest.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddb_export.domain.ledger import VerifiedEntry
    from ddb_export.domain.manifest import ManifestFile
    from ddb_export.pipeline.conversion import Generation

MOST_GROUPS = 1024
"""Most items that Airflow maps a task over (``[core] max_map_length``)."""

GROUP_BYTES = 32 * 1024 * 1024
"""Compressed bytes that are worth a mapped task of their own: starting a task takes seconds, converting this much too."""

_SMALL_GROUPS = 64


class Cut(StrEnum):
    """How the files of an export are shared among its groups."""

    EVERY_NTH = "every_nth"
    """Every n-th file of the manifest: what groups were before they were balanced; runs that began then end so."""
    BALANCED = "balanced"
    """So that each group has about as many items as the others."""


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Some of an export's data files.

    :param export: name of the attempt. :param group: number of the group, from 0; ``groups`` how many there are.
    :param schema_version: columns to convert to; None before they are known. :param cut: how files are shared among groups.
    """

    export: str
    group: int
    groups: int
    schema_version: int | None = None
    cut: Cut = Cut.EVERY_NTH

    def indexes(self, files: Sequence[ManifestFile]) -> Sequence[int]:
        """Return the places in the manifest of its files, in order.

        :param files: all data files of the manifest, in its order.
        """
        if self.cut is Cut.EVERY_NTH:
            return range(self.group, len(files), self.groups)
        return _balanced(files, self.groups)[self.group]

    @property
    def name(self) -> str:
        """Its name in notes; another one for each way to share the files."""
        name = f"{self.group:04d}-of-{self.groups:04d}"
        return name if self.cut is Cut.EVERY_NTH else f"{name}-{self.cut}"

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
            **({} if self.cut is Cut.EVERY_NTH else {"cut": str(self.cut)}),
            **({} if self.schema_version is None else {"schema_version": self.schema_version}),
        }

    @classmethod
    def from_xcom(cls, document: Mapping[str, Any]) -> FileGroup:
        """Read what :meth:`to_xcom` wrote, also before an upgrade."""
        version = document.get("schema_version")
        return cls(
            document["export"],
            int(document["group"]),
            int(document["groups"]),
            None if version is None else int(version),
            Cut(document.get("cut", Cut.EVERY_NTH)),
        )


def group_files(entries: Sequence[VerifiedEntry], most_groups: int) -> list[FileGroup]:
    """Cut the data files of exports into groups, at least one an export, never more than Airflow maps over.

    An export is one group at least, and a plan has at most 1,000 exports.
    """
    allowed = max(1, min(most_groups, MOST_GROUPS // max(1, len(entries))))
    groups = []
    for entry in entries:
        count = max(1, min(allowed, entry.files, -(-entry.bytes_read // GROUP_BYTES)))
        groups += [FileGroup(entry.export, group, count, cut=Cut.BALANCED) for group in range(count)]
    return groups


def share_out(export: str, files: Sequence[ManifestFile]) -> list[FileGroup]:
    """Cut an export into many small groups, so that one process which dies in the middle loses little of its work."""
    groups = max(1, min(len(files), _SMALL_GROUPS))
    return [FileGroup(export, group, groups, cut=Cut.BALANCED) for group in range(groups)]


def by_export(groups: Iterable[FileGroup]) -> list[list[FileGroup]]:
    """Return the groups of each export, exports in the order of their first group."""
    found: dict[str, list[FileGroup]] = {}
    for group in groups:
        found.setdefault(group.export, []).append(group)
    return list(found.values())


def _balanced(files: Sequence[ManifestFile], groups: int) -> list[list[int]]:
    """Share files out, the largest first, each to the group that has fewest items; ties go to the first."""
    heap = [(0, group) for group in range(groups)]
    shared: list[list[int]] = [[] for _ in range(groups)]
    for file in sorted(files, key=lambda file: (-file.item_count, file.index)):
        items, group = heapq.heappop(heap)
        shared[group].append(file.index)
        heapq.heappush(heap, (items + file.item_count, group))
    return [sorted(indexes) for indexes in shared]
