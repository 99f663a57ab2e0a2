"""Compacted generations: their files are made, and readers are switched to them.

Each step can be done again, by whoever comes. Files are written beside those that readers have, under a name that follows from what they are made
of; then, per partition: Glue's location, ``_live.json``, evidence. Whoever dies in between leaves one of two generations with the same
rows to readers, and the next one goes on.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import ObjectMissingError, PreconditionFailedError
from ddb_export.aws.glue import GluePartition
from ddb_export.aws.glue_partitions import Move, move_partitions, read_partitions
from ddb_export.domain.compaction import Compaction, DataFile, Merge
from ddb_export.domain.layout import LIVE, part_name
from ddb_export.exceptions import ConversionError
from ddb_export.pipeline.catalog import glue_table, partition_values
from ddb_export.pipeline.conversion import PARQUET

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway
    from ddb_export.domain.evidence import PublishedEntry
    from ddb_export.pipeline.ledger import Ledger

log = logging.getLogger(__name__)

MADE_FROM = "ddb_export.made_from"
"""Parameter of a Glue partition of compacted files: the converted generation."""

_TRIES = 5


def read_live(ledger: Ledger, path: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return what a ``_live.json`` says, with its ETag; None and None if there is none, or if it is not what this package writes.

    :param path: below the table's folder.
    """
    key = ledger.lake.key(path)
    try:
        stored = ledger.store.read(key)
        found = json.loads(stored.content)
    except ObjectMissingError:
        return None, None
    except ValueError:
        log.warning("%s is not what ddb_export writes", ledger.store.uri(key))
        return None, None
    return found, stored.etag


def make_files(
    ledger: Ledger, compaction: Compaction, step: Callable[[int], None] = lambda _files: None
) -> tuple[DataFile, ...]:
    """Write the files of a compacted generation, as far as they are not there; readers do not look at them yet.

    :param step: told how many of the converted files were merged.
    :return: the files, below the folder of the partition.
    :raises ConversionError: a converted file is gone or not what was published, or what was written is not what was read.
    """
    root = ledger.lake.key(f"{compaction.entry.partition}/")
    listed = ledger.store.list_objects(f"{root}{compaction.name}/")
    there = {each.key.removeprefix(root): each.size for each in listed}
    made: list[DataFile] = []
    for merge in compaction.merges:
        files = _noted(ledger, compaction, merge, there)
        if files is None:
            files = _merge(ledger, compaction, merge)
            note = {"files": [file.to_json() for file in files]}
            ledger.write_note(compaction.note_path(merge), note)
        made += files
        step(len(merge.files))
    return tuple(made)


def has_converted_files(ledger: Ledger, compaction: Compaction) -> bool:
    """Tell whether the files are there that a compaction reads: those of a partition that was compacted before may be deleted."""
    root = ledger.lake.key(f"{compaction.entry.partition}/")
    listed = ledger.store.list_objects(f"{root}{compaction.made_from}/")
    there = {each.key.removeprefix(root): each.size for each in listed}
    return all(there.get(file.path) == file.bytes for file in compaction.files)


def _noted(ledger: Ledger, compaction: Compaction, merge: Merge, there: dict[str, int]) -> list[DataFile] | None:
    """Return what an earlier try made of a merge, None if that is not there whole."""
    note = ledger.read_note(compaction.note_path(merge))
    files = [DataFile.from_json(file) for file in note["files"]] if note else []
    whole = files and sum(file.rows for file in files) == merge.rows
    return files if whole and all(there.get(file.path) == file.bytes for file in files) else None


def _merge(ledger: Ledger, compaction: Compaction, merge: Merge) -> list[DataFile]:
    from ddb_export.conversion.merging import merge_parquet
    from ddb_export.conversion.pieces import piece_path

    with TemporaryDirectory(prefix="ddb_export-") as folder:
        merged = Path(folder) / "merged.parquet"
        sources = [
            _fetch(ledger, compaction, file, Path(folder) / f"{number:06d}.parquet")
            for number, file in enumerate(merge.files)
        ]
        if len(sources) == 1:
            sources[0].rename(merged)
            pieces: Sequence[tuple[int, int]] = [(merge.rows, merged.stat().st_size)]
        else:
            pieces = merge_parquet(sources, merged, [_uri(ledger, compaction, file) for file in merge.files])
        if sum(rows for rows, _ in pieces) != merge.rows:
            raise _outdated(ledger, compaction, merge.files[0], "it has not as many rows as were published")
        files = []
        for piece, (rows, size) in enumerate(pieces):
            path = f"{compaction.name}/{part_name(merge.number, piece=piece)}"
            key = ledger.lake.key(f"{compaction.entry.partition}/{path}")
            ledger.store.put_file(key, piece_path(merged, piece), content_type=PARQUET)
            files.append(DataFile(path, rows, size))
    return files


def _fetch(ledger: Ledger, compaction: Compaction, file: DataFile, target: Path) -> Path:
    key = ledger.lake.key(f"{compaction.entry.partition}/{file.path}")
    try:
        with ledger.store.open(key) as stream, target.open("wb") as local:
            shutil.copyfileobj(stream, local)
    except ObjectMissingError as error:
        raise _outdated(ledger, compaction, file, "it is gone") from error
    if target.stat().st_size != file.bytes:
        raise _outdated(ledger, compaction, file, f"it has {target.stat().st_size} bytes, {file.bytes} were published")
    return target


def _uri(ledger: Ledger, compaction: Compaction, file: DataFile) -> str:
    return ledger.lake.uri(f"{compaction.entry.partition}/{file.path}")


def _outdated(ledger: Ledger, compaction: Compaction, file: DataFile, cause: str) -> ConversionError:
    return ConversionError(
        _uri(ledger, compaction, file),
        f"{cause}, so its partition is not compacted",
        f"clear the convert and publish tasks of the run that published {compaction.entry.export}, then compact again",
    )


def switch(
    ledger: Ledger, glue: GlueGateway, made: Sequence[tuple[Compaction, Sequence[DataFile]]], now: datetime
) -> list[PublishedEntry]:
    """Switch readers to compacted generations, each partition as a whole; return the evidence.

    What shows something else by now is left alone, whether others published it or took it out of the catalog.

    :param made: partitions of one Glue table with their files, which are all there.
    :raises PublishError: Glue refused.
    """
    if not made:
        return []
    database, table = made[0][0].entry.glue_table.split(".", 1)
    by_values = {partition_values(each.entry.partition): (each, files) for each, files in made}
    found = read_partitions(glue, database, table, list(by_values))
    moves, stand = [], set()
    for values, (compaction, _) in by_values.items():
        location = found[values]["StorageDescriptor"]["Location"] if values in found else None
        if location == _location(ledger, compaction):
            stand.add(values)
        elif values in found and _has_same_rows(ledger, compaction, found[values]):
            moves.append(Move(found[values], _location(ledger, compaction), _parameters(compaction)))
        else:
            log.warning("%s.%s %s points at %s by now; it is left alone", database, table, values, location)
    stand |= move_partitions(glue, database, table, moves)
    return [_show(ledger, *by_values[values], now) for values in sorted(stand)]


def _location(ledger: Ledger, compaction: Compaction) -> str:
    return ledger.lake.uri(compaction.folder) + "/"


def _has_same_rows(ledger: Ledger, compaction: Compaction, partition: Mapping[str, Any]) -> bool:
    """Tell whether a partition points at the converted files, or at what they were compacted to before."""
    converted = ledger.lake.uri(f"{compaction.entry.partition}/{compaction.made_from}") + "/"
    if partition["StorageDescriptor"]["Location"] in (compaction.entry.location, converted):
        return True
    return bool(partition.get("Parameters", {}).get(MADE_FROM) == compaction.made_from)


def _parameters(compaction: Compaction) -> dict[str, str]:
    return {
        "ddb_export.generation": compaction.name,
        "ddb_export.converter_version": compaction.made_by,
        MADE_FROM: compaction.made_from,
    }


def _show(ledger: Ledger, compaction: Compaction, files: Sequence[DataFile], now: datetime) -> PublishedEntry:
    from ddb_export import __version__

    wanted = compaction.live(files, f"ddb_export {__version__}")
    content = (json.dumps(wanted, ensure_ascii=False, indent=2) + "\n").encode()
    for _ in range(_TRIES):
        live, etag = read_live(ledger, compaction.live_path)
        if live is None or etag is None or not compaction.has_same_rows(live):
            break
        try:
            ledger.store.put_if_match(ledger.lake.key(compaction.live_path), content, etag)
            break
        except PreconditionFailedError:
            continue  # others published it at the same moment; what they show is looked at
    return ledger.record_published(compaction.evidence(files, _location(ledger, compaction), now))


def point_at(ledger: Ledger, glue: GlueGateway, entry: PublishedEntry) -> None:
    """Make a partition in Glue point at what was published.

    :param entry: the evidence of it, which is the newest of its partition.
    """
    table = glue_table(ledger.lake, ledger.read_schema(), entry.output, entry.glue_table.split(".", 1)[0])
    said = {"ddb_export.export": entry.export, "ddb_export.generation": entry.generation}
    if entry.made_from:
        said[MADE_FROM] = entry.made_from
    glue.upsert_partitions(
        table, [GluePartition(partition_values(entry.partition), entry.location, table.columns, said)]
    )


def keep_published(ledger: Ledger, glue: GlueGateway, entry: PublishedEntry) -> None:
    """Make Glue point at the newest generation of an export again, if a compaction of an older one was switched meanwhile.

    To be called after the evidence is written: a compaction looks for evidence after its switch, so that whoever of the two comes second
    sees the other. A partition that was taken out of the catalog stays out.

    :param entry: what was published just now.
    """
    newest = ledger.published_entry(entry.output, entry.export) or entry
    database, table = newest.glue_table.split(".", 1)
    found = read_partitions(glue, database, table, [partition_values(newest.partition)])
    for partition in found.values():
        said = partition.get("Parameters", {})
        # Another attempt's files are the matter of whoever published that one.
        same_export = said.get("ddb_export.export") == newest.export
        same_rows = said.get(MADE_FROM) == (newest.made_from or newest.generation)
        if same_export and partition["StorageDescriptor"]["Location"] != newest.location and not same_rows:
            log.info("%s: an older generation was compacted meanwhile; readers get the newest", newest.partition)
            point_at(ledger, glue, newest)


def keep_compacted(ledger: Ledger, glue: GlueGateway, entry: PublishedEntry, now: datetime) -> PublishedEntry:
    """Show the compacted files of what was published just now, if it had been compacted; return the evidence of what is shown.

    Publishing again, because a task was cleared or tried again, must not undo a compaction. Compacted files that are gone are made again.

    :param entry: what was published, and is shown.
    """
    newest = ledger.published_entry(entry.output, entry.export)
    if newest is None or newest.made_from != entry.generation or newest.target_file_bytes is None:
        return entry
    live, _ = read_live(ledger, f"{entry.partition}/{LIVE}")
    again = live and Compaction.from_live(entry, live, newest.target_file_bytes)
    if not again:
        return entry
    switched = switch(ledger, glue, [(again, make_files(ledger, again))], now)
    return switched[0] if switched else entry
