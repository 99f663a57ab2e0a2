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


@dataclass(frozen=True, slots=True)
class OlderGeneration:
    """A generation that readers were shown once.

    :param partition: its partition's path below the table's folder. :param export: name of the attempt that it was made from.
    :param replaced_at: when another took its place. :param keys: its objects, those in quarantine included. :param size: their bytes.
    """

    partition: str
    generation: str
    export: str
    replaced_at: datetime
    keys: tuple[str, ...]
    size: int


class OlderGenerations:
    """The older generations of one table.

    :param ledger: its ledger. :param store: the bucket of its lake. :param glue: the catalog.
    """

    def __init__(self, ledger: Ledger, store: ObjectStore, glue: GlueGateway) -> None:
        self._ledger = ledger
        self._store = store
        self._glue = glue

    def find(self, now: datetime, rest: timedelta) -> list[OlderGeneration]:
        """Return those that have files still, in order of partitions.

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
        pointed_at = self._pointed_at(rested)
        left = sorted(
            (entry for entry in rested if entry.location not in pointed_at),
            key=lambda entry: (entry.partition, entry.published_at),
        )
        with ThreadPoolExecutor(_READERS) as readers:
            merged = {entry.made_from for entry in shown}
            found = list(readers.map(lambda entry: self._files(entry, replaced[entry.location] or now, merged), left))
        return [each for each in found if each.keys]

    def delete(self, generations: Sequence[OlderGeneration], step: Callable[[int, int], None]) -> None:
        """Delete their files; whatever is interrupted is done again.

        :param step: told how many generations are done, of how many.
        """
        step(0, len(generations))
        with ThreadPoolExecutor(_READERS) as deleters:
            for done, each in enumerate(generations, 1):
                list(deleters.map(self._store.delete, each.keys))
                step(done, len(generations))

    def _files(self, entry: PublishedEntry, replaced_at: datetime, merged: Collection[str | None]) -> OlderGeneration:
        folder = f"{entry.partition}/{entry.generation}/"
        # Of what was compacted the lines in quarantine are not elsewhere.
        paths = (folder,) if entry.generation in merged else (folder, f"quarantine/{folder}")
        stored = [each for path in paths for each in self._store.list_objects(self._ledger.lake.key(path))]
        keys = tuple(each.key for each in stored)
        size = sum(each.size for each in stored)
        return OlderGeneration(entry.partition, entry.generation, entry.export, replaced_at, keys, size)

    def _pointed_at(self, entries: Iterable[PublishedEntry]) -> set[str]:
        """Return the folders that Glue or ``_live.json`` shows in the partitions of these entries."""
        by_table = sorted(entries, key=lambda entry: (entry.glue_table, entry.partition))
        found = set()
        for full_name, of_table in groupby(by_table, key=lambda entry: entry.glue_table):
            partitions = sorted({entry.partition for entry in of_table})
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
