"""The kinds of cases: one death, two deaths, a death beside another Airflow, many deaths in one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.kill.bench import Bench, GoingOn, Patient, Point
from tests.kill.deaths import Death, Moment, NotReachedError

Target = tuple[Point, Moment]


def one_death(bench: Bench, point: Point, moment: Moment, going_on: GoingOn) -> tuple[Death]:
    """Let a process die once over a fresh lake; whoever goes on must end in the same lake."""
    patient = bench.patient()
    airflow = patient.airflow()
    death = _die(patient, Death(airflow, moment, point))
    airflow.work(going_on)
    _require_same(patient, death)
    return (death,)


def two_deaths(bench: Bench, point: Point, moment: Moment, calls: int, second: Moment) -> tuple[Death, Death]:
    """Let the process after the first death die too, at its n-th call; the third must end in the same lake."""
    patient = bench.patient()
    airflow = patient.airflow()
    first = _die(patient, Death(airflow, moment, point))
    later = bench.reference.tasks()
    following = _die(patient, Death(airflow, second, calls=calls, later=later))
    airflow.work(GoingOn.RESET)
    _require_same(patient, first, following)
    return first, following


def death_beside_another(bench: Bench, point: Point, moment: Moment) -> tuple[Death]:
    """Let another Airflow do the same data interval while the first is held at a call; then the first dies and goes on."""
    patient = bench.patient()
    airflow, other = patient.airflow("first"), patient.airflow("other")
    death = Death(airflow, moment, point)
    death.begin()
    other.work()
    patient.require_same()
    death.kill()
    airflow.work()
    _require_same(patient, death)
    return (death,)


def deaths_one_after_the_other(bench: Bench, targets: Iterable[Target]) -> Iterator[Death]:
    """Let processes die in one run, one after the other, each where a target says; then the run is worked to its end.

    Each process goes on where the one before it died, so that what comes after many deaths is tried too. Who goes on may have less to
    do than who died, and does not make a call that was a target: then it dies at the first call of the next task, if there is one.

    :param targets: in the order of tasks.
    """
    patient = bench.patient()
    airflow = patient.airflow()
    tasks = bench.reference.tasks()
    reached = 0
    for point, moment in targets:
        place = tasks.index(point.task)
        if place < reached:
            continue
        # While processes die over the wait for an export, it has to run. Once it has ended, nobody waits for it again.
        patient.let_exports_run_on(not point.resumed)
        try:
            death = _die(patient, Death(airflow, moment, point, later=tasks[place + 1 :]), GoingOn.RESET)
        except NotReachedError:
            break  # the run is at its end: the last task had less to do than the one that died over it
        yield death
        reached = tasks.index(death.task)
    patient.let_exports_run_on(False)
    airflow.work(GoingOn.RESET)
    _require_same(patient)


def every_operation(bench: Bench) -> list[Target]:
    """Name the first call of each operation of each task; of what a task does after its wait, the first only."""
    points = bench.reference.first_of_each_kind()
    once = {point.task: point for point in reversed(points) if point.resumed}
    often = [point for point in points if not point.resumed or once[point.task] is point]
    return [(point, moment) for point in often for moment in _moments(point)]


def every_call(bench: Bench) -> list[Target]:
    """Name each call, twice: before it is sent, and after it took effect."""
    return [(point, moment) for point in bench.reference.points for moment in (Moment.UNSENT, Moment.AFTER)]


def _moments(point: Point) -> tuple[Moment, ...]:
    return (Moment.AFTER,) if point.resumed else (Moment.UNSENT, Moment.AFTER)


def _die(patient: Patient, death: Death, going_on: GoingOn = GoingOn.RETRY) -> Death:
    """Let the next process die; what readers see then must be whole."""
    death.begin(going_on)
    death.kill()
    patient.require_whole()
    return death


def _require_same(patient: Patient, *deaths: Death) -> None:
    """Require the same lake, also after requests that were late have come."""
    patient.require_same()
    late = [death for death in deaths if death.moment is Moment.LATE]
    for death in late:
        death.let_go()
    if late:
        patient.require_same()
    patient.forget()
