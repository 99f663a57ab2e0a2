"""Which run ``ddb-export plan`` is about: from its arguments to what the planner is asked."""

from __future__ import annotations

import argparse
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from ddb_export.domain.export import ExportViewType
from ddb_export.domain.plan import ChainEnd, PlanRequest, RunKind
from ddb_export.domain.schedule import iterate_boundaries, schedule_boundaries
from ddb_export.domain.utc import ceil_minute, floor_minute, iso
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import UsageError

if TYPE_CHECKING:
    from ddb_export.config.model import TableConfiguration
    from ddb_export.domain.export_filter import ExportFilter

INTERVALS_AT_ONCE = 400
"""Data intervals of a backfill that are planned together: with a window a day at the least, fewer than a run may have."""

_SETTLE = timedelta(minutes=5)
_OUTPUTS = ("snapshots", "changes")
_LOOK_BACK = (timedelta(days=3), timedelta(days=70), timedelta(days=800))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks about.

    :param requests: one; for a long backfill several that follow each other.
    :param stretch: the time that the run answers for; None for a run by hand that catches up.
    :param starts: starts of the data intervals of a backfill's runs; empty for one run.
    """

    requests: tuple[PlanRequest, ...]
    stretch: Stretch | None
    starts: tuple[datetime, ...] = ()

    @property
    def kind(self) -> RunKind:
        """Which kind of run it is."""
        return self.requests[0].kind

    def with_filter(self, export_filter: ExportFilter | None) -> Asked:
        """Return the same, asked with a filter."""
        return replace(self, requests=tuple(replace(each, export_filter=export_filter) for each in self.requests))

    def run_of(self, moment: datetime) -> int:
        """Return the number, from 0, of the backfill's run whose interval holds a moment; 0 for a single run."""
        return max(bisect_right(self.starts, moment) - 1, 0)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which run is meant."""
    group = parser.add_argument_group(
        "which run",
        "Without these: the scheduled run whose interval ended last; for a table\n"
        "without a schedule, a run by hand. Times: 2026-01-31 or 2026-01-31T06:00Z, UTC.",
    )
    group.add_argument("--manual", action="store_true", help="a run by hand, which catches up")
    group.add_argument("--from", dest="start", metavar="TIME", help="a run by hand for the time from here …")
    group.add_argument("--to", dest="end", metavar="TIME", help="… to here, exclusive")
    group.add_argument("--re-export", action="store_true", help="… that exports verified windows again")
    group.add_argument("--full-export", action="store_true", help="a run by hand: one more full export")
    group.add_argument("--new-base", action="store_true", help="a run by hand: begin a new chain")
    group.add_argument(
        "--backfill",
        action="store_true",
        help="an Airflow backfill: every interval that starts in --from to --to, inclusive as there",
    )
    group.add_argument("--interval", nargs=2, metavar=("START", "END"), help="one run with this data interval")


def check_run_arguments(arguments: argparse.Namespace) -> None:
    """Refuse arguments that contradict each other.

    :raises UsageError: they do.
    """
    by_hand = [name for name in ("manual", "re_export", "full_export", "new_base") if getattr(arguments, name)]
    stretch = [name for name in ("start", "end") if getattr(arguments, name)]
    if arguments.interval and (by_hand or stretch):
        raise _refused("--interval", f"{_option((by_hand + stretch)[0])} is given as well", "give one of the two")
    if arguments.backfill and by_hand:
        raise _refused("--backfill", f"{_option(by_hand[0])} is for a run by hand", "give one of the two")
    if arguments.backfill and not arguments.interval and len(stretch) < 2:
        raise _refused("--backfill", "its time is not given", "give --from and --to, or --interval")
    if arguments.re_export and not stretch:
        raise _refused("--re-export", "it does not say which windows", "give --from and --to")
    wishes = [name for name in ("full_export", "new_base") if getattr(arguments, name)] + stretch[:1]
    if len(wishes) > 1:
        raise _refused(_option(wishes[0]), f"{_option(wishes[1])} is given as well", "give one of the two")


def asked_run(
    arguments: argparse.Namespace,
    table: TableConfiguration | None,
    now: datetime,
    head: datetime | None,
    *,
    is_first: bool = False,
) -> Asked:
    """Return what the arguments ask of the planner.

    :param table: the table's configuration; None for a folder without one: it has no schedule, and the defaults.
    :param now: by AWS's clock. :param head: how far the table's data is complete.
    :param is_first: whether nothing was ever claimed for the table.
    :raises UsageError: the arguments do not fit the table.
    """
    if arguments.backfill:
        return _backfill(arguments, table, now)
    if arguments.interval:
        interval = _stretch("--interval", *(read_time(each, "--interval") for each in arguments.interval))
        return Asked((_request(RunKind.SCHEDULED, table, now, interval),), interval)
    by_hand = any(getattr(arguments, name) for name in ("manual", "start", "end", "full_export", "new_base"))
    if not by_hand and table and table.schedule:
        interval = _last_interval(table, now, only_first=is_first and table.catchup)
        return Asked((_request(RunKind.SCHEDULED, table, now, interval),), interval)
    return _by_hand(arguments, table, now, head)


def _by_hand(
    arguments: argparse.Namespace, table: TableConfiguration | None, now: datetime, head: datetime | None
) -> Asked:
    wanted = None
    if arguments.start or arguments.end:
        start = read_time(arguments.start, "--from") if arguments.start else head
        settled = now - (table.settle if table else _SETTLE)
        end = read_time(arguments.end, "--to") if arguments.end else settled
        if start is None:
            raise _refused("--to", "the table has no verified base to begin at", "give --from as well")
        wanted = _stretch("--from", floor_minute(start), ceil_minute(end) if arguments.end else floor_minute(end))
    request = _request(
        RunKind.MANUAL,
        table,
        now,
        None,
        wanted=wanted,
        re_export=arguments.re_export,
        full_export=arguments.full_export,
        new_base=arguments.new_base,
    )
    return Asked((request,), wanted)


def _backfill(arguments: argparse.Namespace, table: TableConfiguration | None, now: datetime) -> Asked:
    if arguments.interval:
        interval = _stretch("--interval", *(read_time(each, "--interval") for each in arguments.interval))
        return Asked((_request(RunKind.BACKFILL, table, now, interval),), interval, (interval.start,))
    if table is None or table.schedule is None:
        raise _refused("--backfill", "the table has no schedule that cuts it into runs", "give --interval START END")
    first, last = read_time(arguments.start, "--from"), read_time(arguments.end, "--to")
    boundaries = iterate_boundaries(table.schedule, table.timezone, first - timedelta.resolution)
    starts, end = [], next(boundaries)
    while end <= last:
        starts.append(end)
        end = next(boundaries)
    if not starts:
        raise _refused("--backfill", f"no interval starts from {iso(first)} to {iso(last)}", "give a longer time")
    marks = [*starts[::INTERVALS_AT_ONCE], end]
    pieces = [Stretch(start, stop) for start, stop in pairwise(marks)]
    requests = tuple(_request(RunKind.BACKFILL, table, now, piece) for piece in pieces)
    return Asked(requests, Stretch(starts[0], end), tuple(starts))


def _last_interval(table: TableConfiguration, now: datetime, *, only_first: bool) -> Stretch:
    """Return the interval of the schedule that ended last; the first one that the schedule may cover if none has ended.

    :param only_first: the first one in any case: with ``catchup``, Airflow begins there.
    """
    schedule = table.schedule or ""
    first = iterate_boundaries(schedule, table.timezone, table.start_date - timedelta.resolution)
    start, end = next(first), next(first)
    if only_first or end > now:
        return Stretch(start, end)
    for look_back in _LOOK_BACK:
        passed: Sequence[datetime] = schedule_boundaries(
            schedule, table.timezone, now - look_back, now + timedelta.resolution
        )
        if len(passed) > 1:
            return max(Stretch(start, end), Stretch(passed[-2], passed[-1]))
    return Stretch(start, end)


def _request(
    kind: RunKind,
    table: TableConfiguration | None,
    now: datetime,
    interval: Stretch | None,
    *,
    wanted: Stretch | None = None,
    re_export: bool = False,
    full_export: bool = False,
    new_base: bool = False,
) -> PlanRequest:
    return PlanRequest(
        kind=kind,
        now=now,
        settle=table.settle if table else _SETTLE,
        interval=interval,
        view=ExportViewType(table.export_view) if table else ExportViewType.NEW_AND_OLD_IMAGES,
        outputs=tuple(table.outputs) if table else _OUTPUTS,
        base_time=table.base_time if table else None,
        new_base=new_base,
        full_export=full_export,
        wanted=wanted,
        re_export=re_export,
        on_chain_end=ChainEnd(table.on_chain_end) if table else ChainEnd.FAIL,
        export_filter=table.export_filter if table else None,
    )


def read_time(text: str, option: str) -> datetime:
    """Read a time that a person wrote; without a zone it is UTC.

    :raises UsageError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _refused(option, f"'{text}' is no time", "write 2026-01-31 or 2026-01-31T06:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _stretch(option: str, start: datetime, end: datetime) -> Stretch:
    try:
        return Stretch(start, end)
    except ValueError as error:
        raise _refused(option, str(error), "give whole minutes, the end after the start") from None


def _refused(option: str, cause: str, remedy: str) -> UsageError:
    return UsageError(option, cause, remedy)


def _option(name: str) -> str:
    return {"start": "--from", "end": "--to"}.get(name, f"--{name.replace('_', '-')}")
