"""Local output that appears as a whole or not at all.

Files are made in a hidden folder beside the destination, on the same file system, and renamed into place. What a killed
process leaves behind is hidden, and is removed by the next conversion to the same destination.
"""

from __future__ import annotations

import errno
import fcntl
import filecmp
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ddb_export.aws.local_object_store import translate_os_error
from ddb_export.domain.layout import LIVE
from ddb_export.exceptions import UsageError

_LOCK = "lock"


class StagedFolder:
    """A hidden folder whose content becomes part of a destination by renaming.

    :param folder: the hidden folder.
    :param destination: the folder that people name.
    """

    def __init__(self, folder: Path, destination: Path) -> None:
        self.content = folder / "content"
        self.work = folder / "work"
        self._aside = folder / "aside"
        self._destination = destination
        for each in (self.content, self.work, self._aside):
            each.mkdir()

    def reveal(self, partition: str, generation: str) -> None:
        """Put a partition's new generation into the destination: in one rename where the destination is new.

        Otherwise the quarantined lines come first, then the generation's files as a whole, then ``_live.json``, which
        names it to readers; a partition that is new appears with all of it in one rename.

        :param partition: its path below the destination.
        :param generation: name of its folder in the partition.
        """
        try:
            if not self._destination.exists():
                self.content.rename(self._destination)
                return
            self._move(f"quarantine/{partition}/{generation}")
            if not (self._destination / partition).exists():
                self._move(partition)
                return
            self._move(f"{partition}/{generation}")
            live, shown = self.content / partition / LIVE, self._destination / partition / LIVE
            if not (shown.is_file() and filecmp.cmp(live, shown, shallow=False)):
                live.replace(shown)
        except OSError as error:
            raise translate_os_error(error, str(self._destination / partition)) from error

    def _move(self, path: str) -> None:
        source, target = self.content / path, self._destination / path
        if not source.exists() or _is_same(source, target):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(self._aside / source.name)
        source.rename(target)


def _is_same(source: Path, target: Path) -> bool:
    """Tell whether two folders hold the same files; then nothing is moved, and no reader notices anything."""
    names = sorted(path.relative_to(source) for path in source.rglob("*"))
    if not target.is_dir() or names != sorted(path.relative_to(target) for path in target.rglob("*")):
        return False
    files = [name for name in names if (source / name).is_file()]
    return all((target / name).is_file() and filecmp.cmp(source / name, target / name, shallow=False) for name in files)


def require_writable(destination: Path) -> None:
    """Refuse a destination that cannot be written to, as far as that can be known without writing.

    :raises UsageError: it, or what should be a folder above it, is a file.
    :raises PermissionDeniedError: it, or the folder in which it would be made, is read-only to this user.
    """
    existing = next(each for each in (destination, *destination.parents) if each.exists())
    if not existing.is_dir():
        raise UsageError(str(existing), "it is a file", "name a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        error = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise translate_os_error(error, str(existing))


@contextmanager
def staged(destination: Path) -> Iterator[StagedFolder]:
    """Make a hidden folder for output to ``destination``; it is gone afterwards, whatever happened.

    :raises UsageError: the destination is no folder.
    :raises NotReachableError: it cannot be written to.
    """
    require_writable(destination)
    missing = [each for each in destination.parents if not each.exists()]
    try:
        parent = _staging_parent(destination)
        prefix = f".{destination.name}.ddb_export-"
        _remove_left_behind(parent, prefix)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        raise translate_os_error(error, str(destination)) from error
    try:
        with (folder / _LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield StagedFolder(folder, destination)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _remove_empty(missing)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove the folders above a destination that did not come to be; innermost first."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return  # it holds something, so it is wanted


def _staging_parent(destination: Path) -> Path:
    """Beside the destination; inside it where it is a file system of its own, or where beside is forbidden."""
    parent = destination.parent
    parent.mkdir(parents=True, exist_ok=True)
    if not destination.exists():
        return parent
    beside = parent.stat().st_dev == destination.stat().st_dev and os.access(parent, os.W_OK)
    return parent if beside else destination


def _remove_left_behind(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{prefix}*"):
        try:
            with (folder / _LOCK).open("rb") as lock:
                if _is_free(lock):
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # another conversion makes or removes it at this moment


def _is_free(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
