"""Durations as people write them in YAML: ``15m``, ``2h``, ``1d``, ``1h30m``, ``PT5M``."""

from __future__ import annotations

import re
from datetime import timedelta

ACCEPTED = "a duration with its unit, such as 30s, 15m, 2h, 1d, 1h30m or PT5M"
PATTERN = (
    r"^(?!P?T?$)(?:(?:\d{1,6}d)?(?:\d{1,6}h)?(?:\d{1,6}m)?(?:\d{1,6}s)?"
    r"|P(?:\d{1,6}D)?(?:T(?!$)(?:\d{1,6}H)?(?:\d{1,6}M)?(?:\d{1,6}S)?)?)$"
)
"""What :func:`parse_duration` takes, as a regular expression for editors."""

_SHORT = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", re.ASCII)
_ISO = re.compile(r"P(?:(\d{1,6})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read a duration of days, hours, minutes and seconds.

    :param text: ``30s``, ``15m``, ``2h``, ``1d``, ``1h30m``, or ISO 8601 as ``PT5M`` and ``P1DT12H``. A number
        without a unit is refused, for it could mean seconds or minutes.
    :return: the duration, in whole seconds.
    :raises ValueError: the text is not such a duration; the message says what is accepted.
    """
    match = _SHORT.fullmatch(text) or _ISO.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"not {ACCEPTED}")
    days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration so that :func:`parse_duration` reads the same.

    :param duration: not negative; a part of a second is left out.
    :return: such as ``1h30m``; ``0s`` for none.
    """
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
