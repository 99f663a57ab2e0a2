"""What a run decides, rule by rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ddb_export.domain.ledger import ClaimKind
from ddb_export.domain.planning import (
    MOST_WINDOWS,
    Action,
    Plan,
    PlannedExport,
    PointInTimeRecovery,
    RunKind,
)
from ddb_export.domain.window import SHORTEST, Stretch
from ddb_export.exceptions import PlanError, PointInTimeRecoveryError, TableIdentityError
from tests.domain.histories import SETTLE, START, History, at

DAY = timedelta(days=1)


def started(**fields: object) -> History:
    """A chain whose base stands at the end of day 1."""
    history = History(now=at(days=1), **fields)  # type: ignore[arg-type]
    history.run(history.scheduled(at(), at(days=1)))
    return history


def windows(plan: Plan) -> list[tuple[float, float, str]]:
    """The windows of a plan, in hours since START."""
    hour = timedelta(hours=1)
    return [((w.window.start - START) / hour, (w.window.end - START) / hour, str(w.action)) for w in plan.windows]


def test_first_run_makes_the_base_at_the_end_of_its_interval():
    history = History(now=at(days=1, minutes=1))
    plan = history.scheduled(at(), at(days=1))
    assert plan.base.export_time == at(days=1)
    assert "end of the run's data interval" in plan.base.reason
    assert (plan.windows, plan.wait_until) == ((), at(days=1) + SETTLE)


def test_first_manual_run_makes_the_base_now_less_settle():
    history = History(now=at(hours=5) + timedelta(seconds=30))
    plan = history.plan(RunKind.MANUAL)
    assert (plan.base.export_time, plan.wait_until) == (at(hours=5) - SETTLE, None)


def test_base_time_of_the_configuration_comes_first_and_the_windows_behind_it_follow():
    history = History(now=at(days=3, hours=1))
    plan = history.scheduled(at(days=2), at(days=3), base_time=at(hours=12))
    assert plan.base.export_time == at(hours=12)
    assert windows(plan) == [(12, 24, "export"), (24, 48, "export"), (48, 72, "export")]
    history.run(plan)
    assert history.chain.head == at(days=3)
    assert history.scheduled(at(days=2), at(days=3)).exports == ()


def test_base_time_of_the_future_is_waited_for():
    history = History(now=at(days=1))
    plan = history.scheduled(at(), at(days=1), base_time=at(days=2))
    assert (plan.base.export_time, plan.windows, plan.wait_until) == (at(days=2), (), at(days=2) + SETTLE)


@pytest.mark.scenario("F10")
def test_base_moves_to_where_recovery_begins():
    earliest = at(days=2, hours=3) + timedelta(seconds=12.5)
    history = History(now=at(days=5), recovery=PointInTimeRecovery(enabled=True, earliest=earliest))
    plan = history.scheduled(at(), at(days=1))
    assert plan.base.export_time == at(days=2, hours=3, minutes=1)
    assert plan.notes[0].startswith("base moved from 2026-03-02T00:00:00Z")
    assert plan.windows == ()


@pytest.mark.scenario("F11")
def test_base_keeps_a_margin_where_the_beginning_of_recovery_moves_on():
    period = timedelta(days=35)
    now = at(days=40)
    recovery = PointInTimeRecovery(enabled=True, earliest=now - period, period=period)
    plan = History(now=now, recovery=recovery).scheduled(at(), at(days=1))
    assert plan.base.export_time == now - period + SETTLE


def test_base_waits_for_the_latest_restorable_time_even_if_settle_is_short():
    history = History(now=at(hours=5))
    history.recovery = replace(history.recovery, enabled=True)
    plan = history.plan(RunKind.MANUAL, settle=timedelta(0))
    assert plan.base.export_time == at(hours=5) - SETTLE
    plan = history.scheduled(at(hours=4), at(hours=5), settle=timedelta(0))
    assert plan.wait_until == at(hours=5) + SETTLE


@pytest.mark.parametrize("kind", list(RunKind))
def test_recovery_that_is_off_is_named_with_its_remedy(kind):
    history = History(now=at(days=1), recovery=PointInTimeRecovery(enabled=False))
    expected = PlanError if kind is RunKind.BACKFILL else PointInTimeRecoveryError
    with pytest.raises(expected, match=r"update-continuous-backups|first scheduled run"):
        history.plan(kind, Stretch(at(), at(days=1)))


def test_daily_runs_follow_each_other():
    history = started()
    for day in range(1, 4):
        history.now = at(days=day + 1)
        plan = history.scheduled(at(days=day), at(days=day + 1))
        assert windows(plan) == [(24 * day, 24 * day + 24, "export")]
        assert plan.wait_until == at(days=day + 1) + SETTLE
        history.run(plan)
        assert history.chain.head == at(days=day + 1)


@pytest.mark.scenario("F8")
def test_a_window_is_not_asked_for_before_it_has_settled():
    history = started()
    history.now = at(days=2, minutes=4)
    assert history.scheduled(at(days=1), at(days=2)).wait_until == at(days=2, minutes=5)
    history.now = at(days=2, minutes=5)
    assert history.scheduled(at(days=1), at(days=2)).wait_until is None


@pytest.mark.scenario("F9")
def test_outage_is_caught_up_in_windows_of_the_schedule():
    history = started()
    history.now = at(days=4, hours=6)
    assert windows(history.scheduled(at(days=3), at(days=4))) == [
        (24, 48, "export"),
        (48, 72, "export"),
        (72, 96, "export"),
    ]


@pytest.mark.scenario("F1")
def test_a_failed_window_is_taken_up_and_later_ones_go_on():
    history = started()
    history.now = at(days=3, hours=1)
    for planned in history.scheduled(at(days=2), at(days=3)).windows:
        claim = history.claim(planned)
        if planned.window.start == at(days=2):
            history.publish(history.verify(claim))
    assert history.chain.head == at(days=1)
    history.now = at(days=4, hours=1)
    assert windows(history.scheduled(at(days=3), at(days=4))) == [(24, 48, "continue"), (72, 96, "export")]


def test_what_is_verified_and_not_published_is_published():
    history = started()
    history.now = at(days=2, hours=1)
    (planned,) = history.scheduled(at(days=1), at(days=2)).windows
    entry = history.verify(history.claim(planned))
    assert windows(history.scheduled(at(days=1), at(days=2))) == [(24, 48, "publish")]
    assert history.scheduled(at(days=1), at(days=2), outputs=("snapshots",)).exports == ()
    history.publish(entry)
    assert history.scheduled(at(days=1), at(days=2)).exports == ()


@pytest.mark.scenario("F2")
def test_an_unverified_base_is_part_of_every_plan():
    history = History(now=at(days=1, hours=1))
    base = history.scheduled(at(), at(days=1)).base
    assert base is not None
    claim = history.claim(base)
    history.fail(claim)
    history.now = at(days=2, hours=1)
    for plan in (
        history.scheduled(at(days=1), at(days=2)),
        history.scheduled(at(), at(days=1)),
        history.plan(RunKind.MANUAL),
        history.plan(RunKind.BACKFILL, Stretch(at(days=1), at(days=2))),
    ):
        assert (plan.base.action, plan.base.export_time) == (Action.CONTINUE, at(days=1))


def test_a_run_before_the_base_has_nothing_to_do():
    history = started()
    plan = history.scheduled(at(), at(hours=12))
    assert (plan.exports, plan.wait_until) == ((), None)


def test_manual_run_catches_up_to_now_less_settle():
    history = started()
    history.now = at(days=2, hours=3, minutes=7)
    assert windows(history.run(history.plan(RunKind.MANUAL))) == [
        (24, 48, "export"),
        (48, pytest.approx(51 + 2 / 60), "export"),
    ]
    assert history.chain.head == at(days=2, hours=3, minutes=2)


def test_manual_run_right_after_another_has_too_little_to_export():
    history = started()
    history.now = at(days=1, minutes=19)
    plan = history.plan(RunKind.MANUAL)
    assert plan.exports == ()
    assert "shorter than 0:15:00" in plan.notes[0]


@pytest.mark.parametrize("minute", range(0, 60, 4))
def test_manual_run_leaves_the_scheduled_one_enough(minute):
    history = started()
    history.now = at(days=2, hours=-1, minutes=minute) + SETTLE
    history.run(history.plan(RunKind.MANUAL))
    history.now = at(days=2)
    history.run(history.scheduled(at(days=1), at(days=2)))
    assert history.chain.head == at(days=2)


@pytest.mark.scenario("F10")
def test_a_hole_that_recovery_no_longer_reaches_is_named():
    history = started()
    history.now = at(days=5, hours=1)
    history.recovery = PointInTimeRecovery(enabled=True, earliest=at(days=2))
    with pytest.raises(PointInTimeRecoveryError, match=r"\[2026-03-02T00:00:00Z, 2026-03-03T00:00:00Z\).*new_base"):
        history.scheduled(at(days=4), at(days=5))


@pytest.mark.scenario("F11")
def test_recovery_may_pass_the_base():
    history = started()
    history.now = at(days=2, hours=1)
    history.run(history.scheduled(at(days=1), at(days=2)))
    history.now = at(days=3, hours=1)
    history.recovery = PointInTimeRecovery(enabled=True, earliest=at(days=2))
    assert windows(history.scheduled(at(days=2), at(days=3))) == [(48, 72, "export")]


@pytest.mark.scenario("F13")
def test_another_table_of_the_same_name_is_refused_until_a_new_base():
    history = started()
    history.now = at(days=2, hours=1)
    history.claim(history.scheduled(at(days=1), at(days=2)).windows[0])
    history.table_id = "id-2"
    with pytest.raises(TableIdentityError, match="deleted and"):
        history.scheduled(at(days=1), at(days=2))
    history.now = at(days=1, hours=12)
    plan = history.run(history.plan(RunKind.MANUAL, new_base=True))
    assert (plan.base.action, plan.base.export_time) == (Action.EXPORT, at(days=1, hours=12) - SETTLE)
    history.now = at(days=3, hours=1)
    history.run(history.scheduled(at(days=2), at(days=3)))
    assert history.chain.head == at(days=3)
    assert all(entry.table_id == "id-2" for entry in history.chain.verified_subjects.values())


def test_new_base_makes_a_base_and_no_windows():
    history = started()
    history.now = at(days=3, hours=1)
    plan = history.run(history.plan(RunKind.MANUAL, new_base=True, base_time=at()))
    assert (plan.base.export_time, plan.windows) == (at(days=3, hours=1) - SETTLE, ())
    assert (history.chain.number, history.chain.head) == (2, at(days=3, hours=1) - SETTLE)


@pytest.mark.scenario("F5")
def test_backfill_rebuilds_what_is_covered_and_exports_the_rest():
    history = started()
    history.now = at(days=2, hours=1)
    history.run(history.scheduled(at(days=1), at(days=2)))
    history.now = at(days=4)
    assert windows(history.plan(RunKind.BACKFILL, Stretch(at(days=1), at(days=3)))) == [
        (24, 48, "rebuild"),
        (48, 72, "export"),
    ]
    plan = history.plan(RunKind.BACKFILL, Stretch(at(), at(days=1)))
    assert windows(plan) == [(0, 24, "export")]
    assert plan.base.action is Action.REBUILD
    history.run(plan)
    assert history.chain.head == at(days=2)


@pytest.mark.scenario("F34")
def test_backfill_before_recovery_is_refused_as_a_whole():
    history = started(recovery=PointInTimeRecovery(enabled=True, earliest=at(hours=12)))
    history.now = at(days=4)
    with pytest.raises(PointInTimeRecoveryError, match="reaches back to 2026-03-01T12:00:00Z"):
        history.plan(RunKind.BACKFILL, Stretch(at(), at(days=3)))


def test_backfill_leaves_no_hole_that_is_too_short_to_export():
    history = History(now=at(days=1, minutes=-5))
    history.run(history.plan(RunKind.MANUAL))
    assert history.chain.head == at(days=1, minutes=-10)
    history.now = at(days=2, hours=1)
    history.run(history.plan(RunKind.BACKFILL, Stretch(at(days=1), at(days=2))))
    assert history.chain.head == at(days=2)


@pytest.mark.scenario("F9")
def test_a_run_takes_no_more_windows_than_airflow_maps():
    history = History(now=at(), cron="*/15 * * * *")
    history.now = at(hours=1)
    history.run(history.plan(RunKind.MANUAL))
    history.now = at(days=15)
    interval = at(days=15) - SHORTEST, at(days=15)
    plan = history.scheduled(*interval)
    assert len(plan.windows) == MOST_WINDOWS
    assert "the next the rest" in plan.notes[-1]
    for planned in plan.windows:
        history.claim(planned)
    assert plan.until == history.claimed_windows[-1].end


def test_days_of_berlin():
    history = History(now=datetime(2026, 10, 24, 23, tzinfo=UTC), zone="Europe/Berlin")
    history.run(history.scheduled(datetime(2026, 10, 23, 22, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)))
    history.now = datetime(2026, 10, 26, tzinfo=UTC)
    plan = history.scheduled(datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC))
    assert [each.window.length for each in plan.windows] == [timedelta(hours=24), timedelta(hours=1)]


def test_plan_survives_json():
    history = started()
    history.now = at(days=4)
    plan = history.scheduled(at(days=3), at(days=4))
    assert replace(plan, wait_until=None) == Plan.from_json(plan.to_json())
    base = PlannedExport(ClaimKind.BASE, Action.EXPORT, "why", START)
    assert Plan.from_json(Plan(base, (), None).to_json()) == Plan(base, (), None)
