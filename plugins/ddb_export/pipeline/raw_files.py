"""What to say where raw files of a verified export are looked for and are not there, or cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ddb_export.aws.errors import ObjectArchivedError, ObjectMissingError
from ddb_export.exceptions import VerificationError
from ddb_export.pipeline.retention_records import RetentionRecords

if TYPE_CHECKING:
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.evidence import VerifiedEntry
    from ddb_export.domain.layout import Lake

RESTORE = (
    "restore the raw export from the bucket's older versions, or export it again: trigger the DAG by hand with from, to and"
    " re_export: true"
)
"""The remedy for raw files that are gone, nobody knows why."""

_REMOVED = (
    "nothing, if what is published is enough; to make its files again, export it again while point-in-time recovery reaches it:"
    " trigger the DAG by hand with from, to and re_export: true"
)


@contextmanager
def raw_files_of(entry: VerifiedEntry, store: ObjectStore, lake: Lake) -> Iterator[None]:
    """Explain what happens inside the ``with`` block where files of an export are gone, or archived.

    :raises VerificationError: they are; it says whether retention removed them.
    """
    thing = f"raw files of {entry.export}"
    try:
        yield
    except ObjectMissingError as error:
        removal = RetentionRecords(store, lake).removal(entry.export)
        if removal:
            raise VerificationError(thing, removal.words, _REMOVED) from error
        raise VerificationError(thing, str(error.cause), RESTORE) from error
    except ObjectArchivedError as error:
        folder = lake.uri(f"raw/{entry.export}/")
        remedy = f"restore all objects below {folder} (aws s3api restore-object), wait for it, then clear this task"
        raise VerificationError(thing, f"they are archived: {error.cause}", remedy) from error
