"""Sizes of files as people write them: ``128MiB``, ``1GiB``, ``134217728``."""

from __future__ import annotations

import re
from decimal import Decimal

ACCEPTED = "a size with its unit, such as 128MiB, 512MB or 1GiB"
PATTERN = r"^\d{1,12}(\.\d{1,3})? ?(B|kB|KiB|MB|MiB|GB|GiB)?$"
"""What :func:`parse_size` takes, as a regular expression for editors."""

_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,3})?) ?([a-zA-Z]*)", re.ASCII)
_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "kib": 2**10,
    "mb": 10**6,
    "mib": 2**20,
    "gb": 10**9,
    "gib": 2**30,
}
_WRITTEN = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def parse_size(text: str) -> int:
    """Read a size.

    :param text: a number and its unit; without one it counts bytes.
    :return: bytes, a part of one left out.
    :raises ValueError: the text is no size; the message says what is accepted.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match.group(2).lower()) if match else None
    if match is None or unit is None:
        raise ValueError(f"not {ACCEPTED}")
    return int(Decimal(match.group(1)) * unit)


def format_size(size: int) -> str:
    """Write a size so that :func:`parse_size` reads the same: ``128MiB``."""
    return next((f"{size // scale}{unit}" for scale, unit in _WRITTEN if size and size % scale == 0), str(size))
