"""Which times an export may ask for: the rules of full exports and of incremental windows.

Sources: probes of the live service (texts of most errors), Developer Guide (15 minutes to 24 hours, From inclusive,
To exclusive, inside the recovery window), genuine incrementals (To may be almost now).
"""

from __future__ import annotations

from dataclasses import dataclass

from local_aws.clock import DAY, MINUTE, SECOND, format_millis, whole_seconds
from local_aws.continuous_backups import Recovery
from local_aws.exports.request import ExportRequest
from local_aws.history import TableHistory
from local_aws.settings import Settings
from local_aws.tables import ApiError

SHORTEST = 15 * MINUTE
LONGEST = DAY


@dataclass(frozen=True)
class Period:
    """What an accepted export covers, in microseconds.

    Full: ``export_time`` as reported and ``cut``, the first time that is not in it. Incremental: the window.
    """

    export_time: int | None = None
    cut: int = 0
    from_time: int = 0
    to_time: int = 0


def full_period(
    request: ExportRequest, history: TableHistory, recovery: Recovery | None, settings: Settings, now: int
) -> Period:
    """The period of a full export; raises :class:`ApiError` as AWS does."""
    if recovery is None:
        raise ApiError(
            "PointInTimeRecoveryUnavailableException",
            f"Point in time recovery is not enabled for table '{request.table_name}'",
        )
    if request.export_time is None:
        # The defaulted time has milliseconds (genuine full export); what was written before the call is in it.
        return Period(export_time=now - now % 1000, cut=max(now, history.last_write or 0) + 1)
    wanted = request.export_time
    if wanted > now or wanted < recovery.earliest_restorable(now):
        raise ApiError("InvalidExportTimeException", "Export Time is invalid")
    if wanted > now - settings.full_export_lag_seconds * SECOND and wanted != recovery.earliest:
        raise ApiError(
            "InvalidExportTimeException", "Point in Time Recovery is not available for specified export time"
        )
    # ASSUMPTION: a full export at T holds the writes before T, and an incremental from T those at T and after.
    return Period(export_time=wanted, cut=wanted)


def incremental_period(
    request: ExportRequest, history: TableHistory, recovery: Recovery | None, settings: Settings, now: int
) -> Period:
    """The window of an incremental export; raises :class:`ApiError` as AWS does."""
    keep = settings.incremental_times_keep_fractions
    start = request.from_time or 0
    end = whole_seconds(now) if request.to_time is None else request.to_time
    if not keep:
        start, end = whole_seconds(start), whole_seconds(end)
    # This check runs before the one for recovery (probe of the live service).
    if start < history.created:
        raise _invalid(
            "Incremental export period from time cannot be less than the table creation time : "
            f"{format_millis(history.created)}"
        )
    if recovery is None:
        raise ApiError(
            settings.incremental_pitr_off_error,
            f"Point in time recovery is not enabled for table '{request.table_name}'",
        )
    if start < recovery.earliest_restorable(now):
        # ASSUMPTION: the text, for a From before recovery was enabled or out of its period.
        raise _invalid(
            "Incremental export period from time cannot be less than the earliest restorable time : "
            f"{format_millis(recovery.earliest)}"
        )
    if end - start < SHORTEST:
        raise _invalid("Difference between export period from time and export period to time is less than 15 minutes")
    if end - start > LONGEST:
        # ASSUMPTION: the text.
        raise _invalid("Difference between export period from time and export period to time is more than 24 hours")
    if end > now:
        raise _invalid(
            f"Incremental export period to time cannot be greater than the current time : {format_millis(now)}"
        )
    return Period(from_time=start, to_time=end)


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidExportTimeException", message)
