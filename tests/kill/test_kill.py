"""Processes die at AWS's calls, really: the lab holds the request, the test kills the process, another one goes on.

This is the sample for every day; ``make kill`` dies at every call. See :mod:`tests.kill.cases` for what each case demands.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_aws.client import Lab
from tests.kill.bench import Bench, GoingOn, Point
from tests.kill.cases import death_beside_another, deaths_one_after_the_other, every_operation, one_death, two_deaths
from tests.kill.deaths import Moment
from tests.kill.processes import Nursery

pytestmark = [pytest.mark.airflow]

BOTH = (Moment.UNSENT, Moment.AFTER)


@pytest.fixture(scope="module")
def bench(lab: Lab) -> Iterator[Bench]:
    """The undisturbed lake, and a nursery of workers."""
    with Nursery() as nursery:
        yield Bench(lab, nursery)


def point(bench: Bench, task: str, operation: str, thing: str = "") -> Point:
    """Find a call of the undisturbed run."""
    return next(
        each
        for each in bench.reference.points
        if (each.task, each.operation) == (task, operation) and thing in each.thing
    )


@pytest.mark.scenario("F3")
@pytest.mark.scenario("F4")
def test_death_at_every_operation_of_every_task(bench):
    died = {(death.kind, death.moment) for death in deaths_one_after_the_other(bench, every_operation(bench))}
    kinds = {each.kind for each in bench.reference.points}
    once = {kind for kind in kinds if kind[0].endswith(" resumed")}
    assert died >= {(kind, moment) for kind in kinds - once for moment in BOTH}
    assert {kind[0] for kind, _ in died} == {kind[0] for kind in kinds}


@pytest.mark.scenario("F3")
@pytest.mark.parametrize("moment", Moment)
def test_a_worker_dies_over_the_call_that_costs_money(bench, moment):
    one_death(bench, point(bench, "export_base", "ExportTableToPointInTime"), moment, GoingOn.RETRY)


@pytest.mark.parametrize("moment", Moment)
def test_a_run_is_cleared_after_a_death_over_its_second_claim(bench, moment):
    one_death(bench, point(bench, "plan", "PutObject", "claims/000000000002"), moment, GoingOn.CLEAR)


def test_the_triggerer_dies_after_the_answer_and_its_row_is_taken_up(bench):
    one_death(bench, point(bench, "window.export[1] in the triggerer", "DescribeExport"), Moment.AFTER, GoingOn.RESET)


@pytest.mark.parametrize("thing", ["_live.json", "ledger/published/"])
def test_a_late_request_of_a_dead_publisher_changes_nothing(bench, thing):
    one_death(bench, point(bench, "publish", "PutObject", thing), Moment.LATE, GoingOn.RETRY)


def test_a_partition_is_late_and_who_goes_on_dies_too(bench):
    two_deaths(bench, point(bench, "publish", "BatchCreatePartition"), Moment.LATE, 12, Moment.AFTER)


@pytest.mark.scenario("F5")
@pytest.mark.parametrize(
    ("task", "operation"), [("plan", "PutObject"), ("window.export[0]", "ExportTableToPointInTime")]
)
def test_two_at_once_and_one_dies(bench, task, operation):
    death_beside_another(bench, point(bench, task, operation, "claims" if task == "plan" else ""), Moment.AFTER)
