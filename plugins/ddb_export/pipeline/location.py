"""Where an export lies: found from the name of its summary, of its folder, or of any folder that holds just one export.

DynamoDB writes ``{prefix}/AWSDynamoDB/{export id}/manifest-summary.json`` and the data files of a full export below the same
folder, those of an incremental one below ``{prefix}/AWSDynamoDB/data/``, which all incremental exports of the prefix
share (AWS DynamoDB Developer Guide, "DynamoDB table export output format").
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from ddb_export.aws.object_store import LocalObjectStore, ObjectMissingError, ObjectStore
from ddb_export.domain.manifest import EXPORT_ID, EXPORTS_FOLDER, FILES, STARTED, SUMMARY
from ddb_export.exceptions import NotReachableError, UsageError

SEARCH_DEPTH = 8
"""Folders below the named one that are searched: the lake's root is 4 above an export, a year/month/day/hour tree 6."""

SEARCH_FOLDERS = 2000
"""Folders that are listed at most; a person who names a bigger tree is told to name the export."""


@dataclass(frozen=True, slots=True)
class ExportLocation:
    """The folder that holds an export's manifests.

    :param folder: its key in the store, without a final slash.
    """

    folder: str

    @property
    def summary_key(self) -> str:
        """Key of ``manifest-summary.json``."""
        return self._below(self.folder, SUMMARY)

    def key(self, path: str, export_id: str | None = None) -> str:
        """Return the key of a file of the export.

        A copy whose folders were renamed is read too: what the manifest puts into the export's own folder is looked
        for beside the summary, the rest beside that folder.

        :param path: its path below ``AWSDynamoDB/``, as the manifest gives it.
        :param export_id: the export's id by its ARN.
        """
        parent, _, name = self.folder.rpartition("/")
        head, _, rest = path.partition("/")
        if rest and head in (name, export_id):
            return self._below(self.folder, rest)
        return self._below(parent, path)

    @staticmethod
    def _below(folder: str, path: str) -> str:
        return f"{folder}/{path}" if folder else path


def locate_export(store: ObjectStore, path: str) -> ExportLocation:
    """Find the one export that a person means.

    :param path: key of a ``manifest-summary.json``, of its folder, or of a folder that holds exactly one export at
        most :data:`SEARCH_DEPTH` levels below.
    :return: its place; an export whose summary is missing (not finished, or not copied) is found by what else is there.
    :raises UsageError: there is none, or there are several; what was found is named.
    :raises NotReachableError: nothing at all is there.
    """
    path = path.strip("/") if isinstance(store, LocalObjectStore) else path.rstrip("/")
    if path == SUMMARY or path.endswith(f"/{SUMMARY}"):
        return _locate_summary(store, path)
    found, anything, searched_all = _search(store, path)
    if len(found) == 1 and searched_all:
        return ExportLocation(found[0])
    if found:
        names = ", ".join(store.uri(each) for each in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        cause = (
            f"it holds {len(found)} exports: {names}{more}" if searched_all else f"it holds {names} and many folders"
        )
        raise UsageError(store.uri(path), cause, f"name the {SUMMARY} of the export that is meant")
    if not anything:
        _refuse_nothing(store, path)
    cause = f"no {SUMMARY} lies in it" if searched_all else f"no {SUMMARY} lies in its first {SEARCH_FOLDERS} folders"
    raise UsageError(store.uri(path), cause, f"name the folder that holds {EXPORTS_FOLDER}/, or the {SUMMARY} itself")


def _locate_summary(store: ObjectStore, path: str) -> ExportLocation:
    location = ExportLocation(path.rpartition("/")[0])
    try:
        store.stat(path)
    except ObjectMissingError:
        if not _is_export(store, location.folder):
            raise
    return location


def _search(store: ObjectStore, path: str) -> tuple[list[str], bool, bool]:
    """Return the folders of exports, whether there is anything at all, and whether all of it was looked at."""
    found: list[str] = []
    anything = False
    waiting = deque([(path, 0)])
    listed = 0
    while waiting:
        folder, depth = waiting.popleft()
        if listed == SEARCH_FOLDERS:
            return found, anything, False
        listed += 1
        names, folders = _contents(store, folder)
        anything = anything or bool(names or folders)
        if names & {SUMMARY, FILES} or (_named_as_export(folder) and _marks(names, folders)):
            found.append(folder)
        elif depth < SEARCH_DEPTH:
            waiting += [(each, depth + 1) for each in folders if not _holds_data(each)]
    return found, anything, True


def _contents(store: ObjectStore, folder: str) -> tuple[set[str], list[str]]:
    """Return the names of a folder's marker files and the keys of its folders; data files are passed over."""
    names: set[str] = set()
    folders: list[str] = []
    for entry in store.list_folder(folder):
        if entry.is_folder:
            # A prefix may begin with a slash, which makes a folder without a name at the bucket's root.
            folders.append(entry.key[:-1] or "/")
        else:
            name = entry.key.rpartition("/")[2]
            names.add(name if name in (SUMMARY, FILES, STARTED) else "")
    return names, folders


def _is_export(store: ObjectStore, folder: str) -> bool:
    return _marks(*_contents(store, folder))


def _marks(names: set[str], folders: list[str]) -> bool:
    return bool(names & {FILES, STARTED}) or any(_holds_data(each) for each in folders)


def _named_as_export(folder: str) -> bool:
    return EXPORT_ID.fullmatch(folder.rpartition("/")[2]) is not None


def _holds_data(folder: str) -> bool:
    parent, _, name = f"/{folder}".rpartition("/")
    return name == "data" and (parent.endswith(f"/{EXPORTS_FOLDER}") or _named_as_export(parent))


def _refuse_nothing(store: ObjectStore, path: str) -> None:
    if isinstance(store, LocalObjectStore) and Path(store.uri(path)).is_dir():
        return  # an empty folder: there, but without an export
    try:
        store.stat(path)
    except ObjectMissingError:
        raise NotReachableError(
            store.uri(path), "there is nothing of this name", "check the path, the bucket and the region"
        ) from None
    remedy = f"name a {SUMMARY}, its folder, or a folder that holds one export"
    raise UsageError(store.uri(path), f"it is a file, but no {SUMMARY}", remedy)
