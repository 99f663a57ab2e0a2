"""Generations that no reader is shown any more: which there are, and deleting them.

They stay for queries that are running, and nothing takes them away by itself. Where a contract drops or hashes by now what they hold in
plain, they have to go. Only what the ledger once showed is looked at: files of a generation that is in the making have no
evidence yet. Nothing goes that Glue or ``_live.json`` points at, whatever the ledger says. Raw exports and evidence stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from ddb_export.aws.errors import ObjectMissingError
from ddb_export.aws.glue_partitions import read_partitions
from ddb_export.domain.evidence import PublishedEntry, subject_of
from ddb_export.domain.layout import LIVE
from ddb_export.domain.ledger import Chain
from ddb_export.domain.shown import shown_entries
from ddb_export.exceptions import PublishError
from ddb_export.pipeline.catalog import partition_values

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.pipeline.ledger import Ledger

OUTPUTS = ("snapshots", "changes")

_READERS = 16
_GENERATIONS_AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class OlderGeneration:
    """A generation that readers were shown once.

    :param glue_table: ``database.table`` in which its partition was shown. :param partition: its partition's path below the table's folder.
    :param export: name of the attempt that it was made from. :param replaced_at: when another took its place.
    :param keys: its objects, those in quarantine included. :param size: their bytes.
    """

    glue_table: str
    partition: str
    generation: str
    export: str
    replaced_at: datetime
    keys: tuple[str, ...]
    size: int

    @property
    def folder(self) -> str:
        """Its folder below the table's folder, with a final slash."""
        return f"{self.partition}/{self.generation}/"


@dataclass(frozen=True, slots=True)
class OlderFound:
    """What is older.

    :param generations: those that nobody is shown and that have files still, in order of partitions.
    :param pointed_at: folders of those that Glue or ``_live.json`` points at nevertheless, below the table's folder.
    """

    generations: tuple[OlderGeneration, ...]
    pointed_at: tuple[str, ...]


class OlderGenerations:
    """The older generations of one table.

    :param ledger: its ledger. :param store: the bucket of its lake. :param glue: the catalog.
    """

    def __init__(self, ledger: Ledger, store: ObjectStore, glue: GlueGateway) -> None:
        self._ledger = ledger
        self._store = store
        self._glue = glue

    def find(self, now: datetime, rest: timedelta) -> OlderFound:
        """Say which there are.

        :param now: the present, UTC. :param rest: how long another must have stood in its place: queries that began before read on.
        :raises PublishError: what a partition points at cannot be told.
        """
        chain = self._ledger.read_every_object()
        entries = self._ledger.published_entries(OUTPUTS)
        shown = shown_entries(chain, entries)
        older = {entry.location: entry for entry in entries}
        for entry in shown:
            older.pop(entry.location, None)
        replaced = {location: _replaced_at(chain, entries, shown, entry) for location, entry in older.items()}
        rested = [older[location] for location, since in replaced.items() if since and now - since >= rest]
        pointed_at = self._pointed_at((entry.glue_table, entry.partition) for entry in rested)
        rested.sort(key=lambda entry: (entry.partition, entry.published_at))
        left = [entry for entry in rested if entry.location not in pointed_at]
        with ThreadPoolExecutor(_READERS) as readers:
            merged = {entry.made_from for entry in shown}
            found = list(readers.map(lambda entry: self._files(entry, replaced[entry.location] or now, merged), left))
        return OlderFound(
            tuple(each for each in found if each.keys),
            tuple(f"{entry.partition}/{entry.generation}/" for entry in rested if entry.location in pointed_at),
        )

    def delete(self, generations: Sequence[OlderGeneration], step: Callable[[int, int], None]) -> list[OlderGeneration]:
        """Delete their files, as far as nobody is shown them still; whatever is interrupted is done again.

        :param step: told how many generations are done, of how many.
        :return: those that stay, because Glue or ``_live.json`` points at them by now: the contract went back meanwhile, perhaps.
        :raises PublishError: what a partition points at cannot be told.
        """
        kept: list[OlderGeneration] = []
        step(0, len(generations))
        with ThreadPoolExecutor(_READERS) as deleters:
            for first in range(0, len(generations), _GENERATIONS_AT_ONCE):
                batch = generations[first : first + _GENERATIONS_AT_ONCE]
                pointed_at = self._pointed_at((each.glue_table, each.partition) for each in batch)
                shown = [each for each in batch if self._ledger.lake.uri(each.folder) in pointed_at]
                kept += shown
                for done, each in enumerate(batch, first + 1):
                    if each not in shown:
                        list(deleters.map(self._store.delete, each.keys))
                    step(done, len(generations))
        return kept

    def _files(self, entry: PublishedEntry, replaced_at: datetime, merged: Collection[str | None]) -> OlderGeneration:
        folder = f"{entry.partition}/{entry.generation}/"
        # Of what was compacted the lines in quarantine are not elsewhere.
        paths = (folder,) if entry.generation in merged else (folder, f"quarantine/{folder}")
        stored = [each for path in paths for each in self._store.list_objects(self._ledger.lake.key(path))]
        keys = tuple(each.key for each in stored)
        size = sum(each.size for each in stored)
        return OlderGeneration(
            entry.glue_table, entry.partition, entry.generation, entry.export, replaced_at, keys, size
        )

    def _pointed_at(self, partitions_of_tables: Iterable[tuple[str, str]]) -> set[str]:
        """Return the folders that Glue or ``_live.json`` shows in partitions of tables."""
        found = set()
        for full_name, of_table in groupby(sorted(set(partitions_of_tables)), key=lambda pair: pair[0]):
            partitions = [partition for _, partition in of_table]
            database, name = full_name.split(".", 1)
            if self._glue.has_table(database, name):
                values = [partition_values(partition) for partition in partitions]
                read = read_partitions(self._glue, database, name, values)
                found |= {str(each["StorageDescriptor"]["Location"]).rstrip("/") + "/" for each in read.values()}
            with ThreadPoolExecutor(_READERS) as readers:
                found |= {folder for folder in readers.map(self._live, partitions) if folder}
        return found

    def _live(self, partition: str) -> str | None:
        lake = self._ledger.lake
        path = f"{partition}/{LIVE}"
        try:
            live = json.loads(self._store.read(lake.key(path)).content)
            return lake.uri(f"{partition}/{live['generation']}") + "/"
        except ObjectMissingError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise PublishError(
                lake.uri(path),
                "it is not what ddb_export writes, so it is not known what its readers see",
                "publish the partition again: clear the run's publish task",
            ) from error


def _replaced_at(
    chain: Chain, entries: Sequence[PublishedEntry], shown: Sequence[PublishedEntry], entry: PublishedEntry
) -> datetime | None:
    """Return when readers were shown something else; None while it is not known that they are."""
    subject = subject_of(entry.export)
    instead = {claim.export for claim in chain.claims if subject in claim.supersedes}
    there = [each for each in shown if (each.output, each.partition) == (entry.output, entry.partition)]
    there = there or [each for each in entries if each.export in instead]
    return max((each.compacted_at or each.published_at for each in there), default=None)
