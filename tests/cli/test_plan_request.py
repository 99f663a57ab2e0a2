"""Which run ``ddb-export plan`` is about, from its arguments alone."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

import pytest

from ddb_export.cli.plan_request import INTERVALS_AT_ONCE, Asked, add_run_arguments, asked_run, check_run_arguments
from ddb_export.config.model import TableConfiguration
from ddb_export.domain.plan import RunKind
from ddb_export.domain.utc import iso
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import UsageError

NOW = datetime(2026, 3, 4, 8, tzinfo=UTC)
HEAD = datetime(2026, 3, 2, tzinfo=UTC)


def declare(**keys: object) -> TableConfiguration:
    required = {"table": "orders", "bucket": "lake", "prefix": "p", "database": "d", "start_date": "2026-02-01"}
    return TableConfiguration.declare(**{**required, "schedule": "@daily", **keys})


def ask(*words: str, table: TableConfiguration | None = None, **keys: object) -> Asked:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_run_arguments(parser)
    arguments = parser.parse_args(list(words))
    check_run_arguments(arguments)
    return asked_run(arguments, table or declare(**keys), NOW, HEAD)


def shown(stretch: Stretch | None) -> tuple[str, str] | None:
    return (iso(stretch.start)[:-4], iso(stretch.end)[:-4]) if stretch else None


@pytest.mark.parametrize(
    ("keys", "start", "end"),
    [
        ({}, "2026-03-03T00:00", "2026-03-04T00:00"),
        ({"schedule": "0 8 * * *"}, "2026-03-03T08:00", "2026-03-04T08:00"),
        ({"timezone": "Europe/Berlin"}, "2026-03-02T23:00", "2026-03-03T23:00"),
        ({"schedule": "*/15 * * * *"}, "2026-03-04T07:45", "2026-03-04T08:00"),
        ({"schedule": "@monthly"}, "2026-02-01T00:00", "2026-03-01T00:00"),
        ({"schedule": "@yearly", "start_date": "2020-06-01"}, "2025-01-01T00:00", "2026-01-01T00:00"),
        ({"start_date": "2026-03-03T12:00:00Z"}, "2026-03-04T00:00", "2026-03-05T00:00"),
        ({"start_date": "2026-04-01"}, "2026-04-01T00:00", "2026-04-02T00:00"),
    ],
)
def test_the_scheduled_run_is_the_one_whose_interval_ended_last_or_the_first(keys, start, end):
    asked = ask(**keys)
    assert (asked.kind, shown(asked.stretch)) == (RunKind.SCHEDULED, (start, end))


@pytest.mark.parametrize(
    ("catchup", "is_first", "start"),
    [(True, True, "2026-02-01T00:00"), (True, False, "2026-03-03T00:00"), (False, True, "2026-03-03T00:00")],
)
def test_with_catchup_the_first_run_is_that_of_the_first_interval(catchup, is_first, start):
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    asked = asked_run(parser.parse_args([]), declare(catchup=catchup), NOW, None, is_first=is_first)
    assert asked.stretch
    assert iso(asked.stretch.start) == f"{start}:00Z"


def test_without_a_schedule_it_is_a_run_by_hand():
    asked = ask(schedule=None)
    assert (asked.kind, asked.stretch, asked.requests[0].interval) == (RunKind.MANUAL, None, None)


def test_a_folder_without_configuration_has_the_defaults():
    arguments = argparse.Namespace(
        backfill=False, interval=None, manual=False, start=None, end=None,
        re_export=False, full_export=False, new_base=False,
    )  # fmt: skip
    (request,) = asked_run(arguments, None, NOW, HEAD).requests
    assert (request.kind, request.settle, request.outputs) == (
        RunKind.MANUAL, timedelta(minutes=5), ("snapshots", "changes"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        (["--from", "2026-03-01T06:00", "--to", "2026-03-01T08:00+01:00"], "2026-03-01T06:00", "2026-03-01T07:00"),
        (["--from", "2026-03-01T06:00:30Z", "--to", "2026-03-01T07:00:30Z"], "2026-03-01T06:00", "2026-03-01T07:01"),
        (["--from", "2026-03-03"], "2026-03-03T00:00", "2026-03-04T07:55"),
        (["--to", "2026-03-03"], "2026-03-02T00:00", "2026-03-03T00:00"),
    ],
)
def test_a_run_by_hand_for_a_time(words, start, end):
    asked = ask(*words)
    assert asked.kind is RunKind.MANUAL
    assert shown(asked.requests[0].wanted) == shown(asked.stretch) == (start, end)


@pytest.mark.parametrize("wish", ["full_export", "new_base"])
def test_wishes_of_a_run_by_hand(wish):
    (request,) = ask(f"--{wish.replace('_', '-')}", on_chain_end="new_base").requests
    assert (request.kind, getattr(request, wish), request.on_chain_end) == (RunKind.MANUAL, True, "new_base")


@pytest.mark.scenario("F34")
def test_a_backfill_has_every_interval_that_starts_in_its_time_as_airflow_counts():
    # Airflow 3.3: from 11-10 to 11-12 of a daily schedule makes [10, 11), [11, 12) and [12, 13).
    asked = ask("--backfill", "--from", "2026-02-10", "--to", "2026-02-12")
    assert asked.kind is RunKind.BACKFILL
    assert [each.day for each in asked.starts] == [10, 11, 12]
    assert shown(asked.stretch) == ("2026-02-10T00:00", "2026-02-13T00:00")
    assert [asked.run_of(datetime(2026, 2, day, 5, tzinfo=UTC)) for day in (10, 11, 12)] == [0, 1, 2]


def test_a_long_backfill_is_planned_in_pieces_that_follow_each_other():
    asked = ask("--backfill", "--from", "2026-02-10", "--to", "2026-02-20", schedule="*/15 * * * *")
    assert len(asked.starts) == 10 * 96 + 1
    pieces = [each.interval for each in asked.requests]
    assert [piece.length / timedelta(minutes=15) for piece in pieces if piece] == [INTERVALS_AT_ONCE] * 2 + [161]
    assert [piece.start for piece in pieces[1:]] == [piece.end for piece in pieces[:-1]]
    assert asked.stretch == Stretch(pieces[0].start, pieces[-1].end)


def test_one_run_is_named_by_its_interval():
    for words, kind in ((["--backfill"], RunKind.BACKFILL), ([], RunKind.SCHEDULED)):
        asked = ask(*words, "--interval", "2026-03-01", "2026-03-02")
        assert (asked.kind, len(asked.requests)) == (kind, 1)
        assert shown(asked.requests[0].interval) == ("2026-03-01T00:00", "2026-03-02T00:00")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--re-export"], "--re-export: it does not say which windows. Remedy: give --from and --to"),
        (["--backfill"], "--backfill: its time is not given. Remedy: give --from and --to, or --interval"),
        (["--backfill", "--from", "2026-03-01"], "--backfill: its time is not given"),
        (["--backfill", "--new-base"], "--backfill: --new-base is for a run by hand. Remedy: give one of the two"),
        (["--full-export", "--new-base"], "--full-export: --new-base is given as well. Remedy: give one of the two"),
        (["--new-base", "--from", "2026-03-01"], "--new-base: --from is given as well"),
        (["--interval", "2026-03-01", "2026-03-02", "--to", "2026-03-01"], "--interval: --to is given as well"),
        (["--interval", "2026-03-02", "2026-03-01"], "--interval: .* does not end after its start. Remedy: give whole"),
        (["--from", "soon"], "--from: 'soon' is no time. Remedy: write 2026-01-31 or 2026-01-31T06:00Z"),
        (
            ["--backfill", "--from", "2026-02-10T01:00", "--to", "2026-02-10T02:00"],
            "--backfill: no interval starts from 2026-02-10T01:00:00Z to 2026-02-10T02:00:00Z",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(words, message):
    with pytest.raises(UsageError, match=message):
        ask(*words)


def test_a_backfill_needs_a_schedule_and_an_end_needs_a_base():
    with pytest.raises(UsageError, match="the table has no schedule that cuts it into runs"):
        ask("--backfill", "--from", "2026-03-01", "--to", "2026-03-02", schedule=None)
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    with pytest.raises(UsageError, match="the table has no verified base to begin at"):
        asked_run(parser.parse_args(["--to", "2026-03-02"]), declare(), NOW, None)
