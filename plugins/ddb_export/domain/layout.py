"""Where each thing lies in the lake: the paths below ``s3://{bucket}/{prefix}/{name}/``.

Other people's queries rely on them; a change here is a change of the contract that ``docs/lake.md`` publishes.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime

from ddb_export.domain.utc import compact, require_utc
from ddb_export.domain.window import Window

LIVE = "_live.json"


@dataclass(frozen=True, slots=True)
class Lake:
    """The folder of one table in the lake.

    :param bucket: name of the bucket.
    :param prefix: key prefix common to all tables, without a slash at either end; may be empty.
    :param name: the table's name in the configuration.
    """

    bucket: str
    prefix: str
    name: str

    @property
    def root(self) -> str:
        """Key prefix of the table's folder, without a final slash."""
        return f"{self.prefix}/{self.name}" if self.prefix else self.name

    @property
    def ledger(self) -> str:
        """Key prefix of the ledger."""
        return f"{self.root}/ledger"

    def raw(self, export: str) -> str:
        """Return the S3Prefix of the attempt whose folder is named ``export``."""
        return f"{self.root}/raw/{export}"

    def key(self, path: str) -> str:
        """Return the object key of a path below the table's folder."""
        return f"{self.root}/{path}"

    def uri(self, path: str = "") -> str:
        """Return the ``s3://`` URI of a path below the table's folder."""
        return f"s3://{self.bucket}/{self.key(path) if path else self.root}"


def snapshot_partition(export_time: datetime) -> str:
    """Return the path of a full export's partition, below the table's folder."""
    return f"snapshots/export_time={compact(export_time)}"


def changes_partition(start: datetime, end: datetime) -> str:
    """Return the path of a window's partition: ``dt`` is the UTC date of its start."""
    start = require_utc(start)
    return f"changes/dt={start:%Y-%m-%d}/export_window={compact(start)}-{compact(end)}"


def window_partition(window: Window) -> str:
    """Return :func:`changes_partition` of a window."""
    return changes_partition(window.start, window.end)


def partition_of(window: Window | None, export_time: datetime | None) -> str:
    """Return the path of the typed partition of a window, or of a full export at a moment.

    :raises ValueError: neither is given.
    """
    if window:
        return window_partition(window)
    if export_time is None:
        raise ValueError("a full export has an export_time")
    return snapshot_partition(export_time)


def raw_partition(partition: str) -> str:
    """Return what the raw files of an export are recorded under: the path of its typed partition in the raw table's name."""
    return f"raw_{partition}"


def generation(export_arn: str, schema_fingerprint: str, converter_version: str) -> str:
    """Name a generation of files: the same inputs give the same name, and the same files.

    :param export_arn: what was converted.
    :param schema_fingerprint: digest of the columns that it was converted to.
    :param converter_version: version of the rules of conversion.
    :return: ``g-`` and 16 hexadecimal digits.
    """
    text = json.dumps([export_arn, schema_fingerprint, converter_version])
    return "g-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def part_name(index: int, suffix: str = "parquet", piece: int = 0) -> str:
    """Return the name of a file made from the data file at ``index`` of the manifest (0 for the first).

    :param piece: 0 for the first file made from it; a very large data file gives more.
    """
    return f"part-{index:05d}-{piece:03d}.{suffix}" if piece else f"part-{index:05d}.{suffix}"


def glue_name(name: str) -> str:
    """Return the part of Glue's table names that comes from the table's name: lower case, ``[a-z0-9_]`` only."""
    return re.sub(r"[^a-z0-9_]", "_", name.lower())
