"""Times as this project uses them: aware, UTC, written one way for people and one way for paths.

A naive datetime is refused everywhere instead of being guessed at: the local zone of a worker must never decide which
minute an export covers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)


def require_utc(moment: datetime) -> datetime:
    """Return ``moment`` in UTC.

    :param moment: an aware datetime in any zone.
    :raises ValueError: ``moment`` is naive.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; write it in UTC, for example with a final Z")
    moment = moment.astimezone(UTC)
    if type(moment) is datetime:
        return moment
    # Airflow's pendulum times lose their zone in some sums; nothing below this line should know of them.
    return datetime.combine(moment.date(), moment.time(), UTC)


def floor_minute(moment: datetime) -> datetime:
    """Return the last whole minute at or before ``moment``, in UTC."""
    return require_utc(moment).replace(second=0, microsecond=0)


def ceil_minute(moment: datetime) -> datetime:
    """Return the first whole minute at or after ``moment``, in UTC."""
    # In UTC first: Python finds a local time that occurs twice, or never, unequal to every time of another zone.
    moment = require_utc(moment)
    floored = floor_minute(moment)
    return floored if floored == moment else floored + MINUTE


def is_whole_minute(moment: datetime) -> bool:
    """Tell whether ``moment`` has neither seconds nor microseconds."""
    return moment.second == 0 and moment.microsecond == 0


def parse_utc(text: str) -> datetime:
    """Read an ISO 8601 time with a zone, as AWS's manifests and our own JSON write it.

    :param text: for example ``2026-01-14T10:35:24.000Z``.
    :return: the same moment in UTC, with the fraction of a second that the text has.
    :raises ValueError: the text is no time, or has no zone.
    """
    return require_utc(datetime.fromisoformat(text))


def iso(moment: datetime) -> str:
    """Write a time for people and JSON: ``2026-01-14T10:35:00Z``, with a fraction of a second only if there is one."""
    text = require_utc(moment).replace(tzinfo=None).isoformat(timespec="auto")
    return (text.rstrip("0") if "." in text else text) + "Z"


def compact(moment: datetime) -> str:
    """Write a time for a path: ``YYYYMMDDTHHMMZ``, with seconds only if they are not 0.

    A fraction of a second, as the default time of a full export has one, is cut off.
    """
    moment = require_utc(moment)
    return moment.strftime("%Y%m%dT%H%M%SZ" if moment.second else "%Y%m%dT%H%MZ")


def parse_compact(text: str) -> datetime:
    """Read what :func:`compact` wrote.

    :raises ValueError: the text has another form.
    """
    form = "%Y%m%dT%H%MZ" if len(text) == len("YYYYMMDDTHHMMZ") else "%Y%m%dT%H%M%SZ"
    moment = datetime.strptime(text, form).replace(tzinfo=UTC)
    # strptime takes fewer digits than the form has, and another time would be read than was written.
    if compact(moment) != text:
        raise ValueError(f"{text!r} is no time of the form YYYYMMDDTHHMMZ")
    return moment
