"""Compaction as a decision: which partitions have too many small files, which files are merged, and what that costs.

A compacted generation holds the rows of one converted generation, in the same order, in fewer files. It is always made of the *converted* one,
never of another compacted one, so that its name and its bytes follow from that one and the target alone. How it is done is
:mod:`ddb_export.pipeline.compaction`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ddb_export.domain.cost import rewriting_error
from ddb_export.domain.evidence import PublishedEntry, subject_of
from ddb_export.domain.layout import LIVE, generation
from ddb_export.domain.utc import parse_compact
from ddb_export.domain.widening import S3_GET_PER_THOUSAND
from ddb_export.domain.window import window_of
from ddb_export.exceptions import BudgetError

if TYPE_CHECKING:
    from ddb_export.domain.cost import Prices
    from ddb_export.domain.ledger import Chain

TARGET_FILE_BYTES = 128 << 20
"""Size that files are merged up to, unless another is declared: few requests, and still several files of a large partition, which an
engine reads side by side. (AWS's own compaction, of Iceberg tables, takes 512 MB: Glue Developer Guide, "Compaction optimization".)"""

SMALLEST_TARGET = 1 << 20
LARGEST_TARGET = 1 << 30
"""Targets that may be declared; one merged file and what it is made of have to fit on the worker's disk."""

FEWER_BY = 2
"""A partition is rewritten only if it then has so many times fewer files: to read and write all of it for less is not worth it."""

_READS_PER_PARTITION = 8
_WRITES_PER_PARTITION = 8
_WRITES_PER_FILE = 2


@dataclass(frozen=True, slots=True)
class DataFile:
    """A published Parquet file.

    :param path: below the folder of the partition, as ``_live.json`` has it. :param rows: rows in it. :param bytes: its size.
    """

    path: str
    rows: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``_live.json`` has of it."""
        return {"path": self.path, "rows": self.rows, "bytes": self.bytes}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DataFile:
        """Read what :meth:`to_json` wrote."""
        return cls(str(document["path"]), int(document["rows"]), int(document["bytes"]))


@dataclass(frozen=True, slots=True)
class Merge:
    """Files that become one. A very large merge may be cut into pieces, as in the conversion of a very large data file.

    :param number: its place in the compacted generation, from 0. :param files: neighbours, in their order.
    """

    number: int
    files: tuple[DataFile, ...]

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)


def merges_of(files: Sequence[DataFile], target: int) -> tuple[Merge, ...]:
    """Share files out among merged ones: neighbours, as long as they do not exceed the target together.

    :param files: in their order, which stays. :param target: size in bytes; a file that is larger stays alone.
    """
    shared: list[list[DataFile]] = []
    size = 0
    for file in files:
        if not shared or size + file.bytes > target:
            shared.append([])
            size = 0
        shared[-1].append(file)
        size += file.bytes
    return tuple(Merge(number, tuple(each)) for number, each in enumerate(shared))


@dataclass(frozen=True)
class Compaction:
    """A partition that is to be compacted.

    :param entry: the evidence of what readers see of it now; a converted generation, or one that was compacted to smaller files.
    :param made_from: name of the converted generation. :param export_arn: what that was converted from; ``converter_version`` by which rules.
    :param files: its files, in their order. :param said: all that ``_live.json`` says; what is not about files stays.
    :param target: size in bytes that files are merged up to.
    """

    entry: PublishedEntry
    made_from: str
    export_arn: str
    converter_version: str
    files: tuple[DataFile, ...]
    said: Mapping[str, Any]
    target: int

    @classmethod
    def from_live(cls, entry: PublishedEntry, live: Mapping[str, Any], target: int) -> Compaction | None:
        """Return the compaction of a partition; None if other rows are shown than the evidence says.

        :param live: what the partition's ``_live.json`` says: the converted generation, or one that is made from it, also where whoever
            made that died before there was evidence of it.
        :raises KeyError: something is missing in it. :raises ValueError: as there.
        """
        source = live.get("made_from") or live
        if source["generation"] != (entry.made_from or entry.generation):
            return None
        return cls(
            entry,
            source["generation"],
            live["export_arn"],
            source["converter_version"],
            tuple(DataFile.from_json(file) for file in source["files"]),
            live,
            target,
        )

    @cached_property
    def merges(self) -> tuple[Merge, ...]:
        """What is merged."""
        return merges_of(self.files, self.target)

    @property
    def is_worthwhile(self) -> bool:
        """Whether readers get so much fewer files than they have that the work is worth it."""
        return len(self.merges) * FEWER_BY <= self.entry.files

    @property
    def rows(self) -> int:
        """Rows of the partition."""
        return sum(file.rows for file in self.files)

    @property
    def bytes_read(self) -> int:
        """Size of the files that are read."""
        return sum(file.bytes for file in self.files)

    @property
    def made_by(self) -> str:
        """The converter version of the compacted files: that of the converted ones, after the target."""
        return f"compact={self.target};{self.converter_version}"

    @cached_property
    def name(self) -> str:
        """Name of the compacted generation.

        The sizes of the converted files are in it too: should they ever be made again with other sizes (another pyarrow may compress
        otherwise), the merges are others, and must not be written over files that readers have open.
        """
        files = hashlib.sha256(json.dumps([file.to_json() for file in self.files]).encode()).hexdigest()
        return generation(self.export_arn, self.entry.schema_fingerprint, f"{self.made_by};{files}")

    @property
    def folder(self) -> str:
        """Path of the compacted files below the table's folder."""
        return f"{self.entry.partition}/{self.name}"

    @property
    def live_path(self) -> str:
        """Path of the partition's ``_live.json`` below the table's folder."""
        return f"{self.entry.partition}/{LIVE}"

    def note_path(self, merge: Merge) -> str:
        """Path below the ledger of the note on what a merge gave."""
        return f"compacted/{self.entry.export}/{self.name}/{merge.number:05d}.json"

    def has_same_rows(self, live: Mapping[str, Any]) -> bool:
        """Tell whether a ``_live.json`` shows the converted generation, or one that is made from it."""
        return self.made_from in (live.get("generation"), (live.get("made_from") or {}).get("generation"))

    def live(self, files: Sequence[DataFile], made_by: str) -> dict[str, Any]:
        """Return the content of ``_live.json`` that shows the compacted files.

        :param files: these, below the folder of the partition. :param made_by: name and version of this package.
        """
        return {
            **self.said,
            "generation": self.name,
            "converter_version": self.made_by,
            "created_by": made_by,
            "rows": sum(file.rows for file in files),
            "files": [file.to_json() for file in files],
            "made_from": {
                "generation": self.made_from,
                "converter_version": self.converter_version,
                "files": [file.to_json() for file in self.files],
            },
        }

    def evidence(self, files: Sequence[DataFile], location: str, now: datetime) -> PublishedEntry:
        """Return the evidence that the compacted files can be read.

        It keeps the time of publication: what is published later than the converted files is newer than these, too.

        :param location: URI of their folder.
        """
        return replace(
            self.entry,
            generation=self.name,
            location=location,
            files=len(files),
            output_bytes=sum(file.bytes for file in files),
            made_from=self.made_from,
            target_file_bytes=self.target,
            compacted_at=now,
        )


def starts_at(entry: PublishedEntry) -> datetime:
    """Return when the data of a partition begins: the start of its window, or the time of its full export."""
    subject = subject_of(entry.export)
    return parse_compact(subject.removeprefix("full-")) if subject.startswith("full-") else window_of(subject).start


def may_be_compacted(
    chain: Chain, shown: Iterable[PublishedEntry], start: datetime | None, end: datetime | None, target: int
) -> list[PublishedEntry]:
    """Return the partitions that may be worth it, as far as the ledger alone tells; ``_live.json`` has the files.

    What a later verified attempt is about to replace is left alone, because whoever publishes that shows other files; so is what an
    earlier table of this name left.

    :param shown: what readers see. :param start: partitions that begin from here … :param end: … and before here; None for no limit.
    """
    best = {entry.export for entry in chain.verified_subjects.values()}
    return [
        entry
        for entry in shown
        if entry.export in best
        and (start is None or starts_at(entry) >= start)
        and (end is None or starts_at(entry) < end)
        and max(1, -(-entry.output_bytes // target)) * FEWER_BY <= entry.files
    ]


@dataclass(frozen=True, slots=True)
class CompactionEstimate:
    """What a compaction reads and writes, and what that costs. DynamoDB is asked for nothing, so it bills nothing.

    :param partitions: partitions that are rewritten. :param files_before: files that readers have there now; ``files_after`` then.
    :param bytes_read: size of the files that are read; about as much is written.
    :param reads: requests that read from S3; ``writes`` those that write or list.
    :param usd: what the requests cost; storage of the older files is not in it, nor the time of the machine.
    """

    partitions: int
    files_before: int
    files_after: int
    bytes_read: int
    reads: int
    writes: int
    usd: Decimal
    basis: tuple[str, ...]


def estimate_compaction(compactions: Sequence[Compaction], prices: Prices) -> CompactionEstimate:
    """Say what these compactions cost."""
    read = sum(len(each.files) for each in compactions)
    written = sum(len(each.merges) for each in compactions)
    reads = read + written + _READS_PER_PARTITION * len(compactions)
    writes = _WRITES_PER_FILE * written + _WRITES_PER_PARTITION * len(compactions)
    price = (reads * S3_GET_PER_THOUSAND + writes * prices.s3_put_per_thousand) / 1000
    basis = (
        (
            f"S3: about {reads:,} requests that read, at {S3_GET_PER_THOUSAND:f} USD per 1,000, and {writes:,} that write"
            f" or list, at {prices.s3_put_per_thousand:f} USD per 1,000"
        ),
        "DynamoDB is asked for nothing, so it bills nothing; the older files stay, and are billed, until ddb-export prune deletes them",
    )
    return CompactionEstimate(
        len(compactions),
        sum(each.entry.files for each in compactions),
        written,
        sum(each.bytes_read for each in compactions),
        reads if compactions else 0,
        writes if compactions else 0,
        price if compactions else Decimal(0),
        basis,
    )


def budget_error(name: str, estimated: CompactionEstimate, budget: Decimal | None) -> BudgetError | None:
    """Return the error for a compaction that costs more than a run may; None if it does not.

    :param name: of the table. :param budget: most that one run may cost, in USD; None for no limit.
    """
    return rewriting_error(
        f"compaction of {name}", estimated.usd, budget, "compact less at a time with --from and --to"
    )
