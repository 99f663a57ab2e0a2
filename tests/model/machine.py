"""The state machine: everything that may happen to a table, its exports, its runs and their workers, in any order.

After each step the lake is compared with the table's history, and the ledger with what was really exported and billed. At the end
all disturbances stop: then one scheduled run, or the remedy that its error names, must bring everything up to date.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ddb_export.domain.layout import Lake
from ddb_export.domain.schedule import schedule_boundaries
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import DdbExportError, PointInTimeRecoveryError, TableIdentityError
from ddb_export.pipeline.ledger import Ledger
from tests.model.books import Books
from tests.model.readers import Readers, promise, same_state
from tests.model.runs import LAKE_NAME, ROOT, Airflow, Configuration, Run, State
from tests.model.store import BUCKET, StoreView
from tests.model.table import TTL_ATTRIBUTE
from tests.model.workers import Death, Fault, Worker, model_time
from tests.model.world import Damage, Ending, Fate, Hand, World, utc

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PATIENCE = 12 * DAY
MOST_WINDOWS = 30
"""Longest catch-up of one run, in the schedule's intervals: more would show nothing new and take long."""

SCHEDULES = [
    ("0 0 * * *", "UTC"),
    ("30 2 * * *", "Europe/Berlin"),
    ("0 */6 * * *", "UTC"),
    ("0 * * * *", "Europe/Berlin"),
]
STARTS = [utc(2026, 3, 27), utc(2026, 10, 23), utc(2026, 6, 1, 5)]

FILTER = {"expression": "id <> :k", "values": {":k": {"S": "a"}}}
keys = st.sampled_from("abc")
values = st.fixed_dictionaries(
    {"n": st.sampled_from([{"N": "1"}, {"N": "2"}, {"N": "2.5"}, {"S": "text"}])},
    optional={
        "tags": st.sampled_from([{"SS": ["x", "y"]}, {"L": [{"N": "1"}]}, {"NULL": True}]),
        TTL_ATTRIBUTE: st.sampled_from([{"N": "1774600000"}, {"N": "1900000000"}]),
    },
)
faults = st.dictionaries(st.integers(1, 160), st.sampled_from(list(Fault)), max_size=2)
fates = st.builds(
    Fate,
    st.sampled_from([1, 6, 45, 600, 1800]),
    st.sampled_from([Ending.COMPLETED, Ending.COMPLETED, Ending.FAILED, Ending.DAMAGED]),
    st.sampled_from(["UNKNOWN", "S3AccessDenied"]),
    st.sampled_from(list(Damage)),
)
skews = st.sampled_from([0, 7, -45, 24 * 60, -24 * 60])
segments = st.lists(st.integers(1, 90), max_size=6)


class TableLife(RuleBasedStateMachine):
    """One table, one lake, and whatever befalls them."""

    steps: ClassVar[Counter[str]] = Counter()
    errors: ClassVar[Counter[str]] = Counter()
    histories: ClassVar[int] = 0
    calls: ClassVar[int] = 0

    @classmethod
    def report(cls, minutes: float | None = None) -> str:
        """Say how much was played."""
        steps = sum(count for name, count in cls.steps.items() if name != "runs")
        speed = f", {steps / minutes / 60:.0f} steps/s" if minutes else ""
        return f"{cls.histories} histories, {steps} steps, {cls.steps['runs']} runs, {cls.calls} AWS calls{speed}"

    def __init__(self) -> None:
        super().__init__()
        self._model_time = model_time()
        self._model_time.__enter__()
        self.runs: list[Run] = []
        self.replaced: dict[str, bytes] = {}
        self.last_scheduled: datetime | None = None
        self._is_broken = False

    @initialize(
        start=st.sampled_from(STARTS),
        schedule=st.sampled_from(SCHEDULES),
        catchup=st.booleans(),
        on_chain_end=st.sampled_from(["fail", "new_base"]),
        level=st.sampled_from(["bytes", "bytes", "manifest"]),
        days=st.integers(0, 2),
        retries=st.integers(0, 1),
    )
    def begin(
        self,
        start: datetime,
        schedule: tuple[str, str],
        catchup: bool,
        on_chain_end: str,
        level: str,
        days: int,
        retries: int,
    ) -> None:
        """Create the table and its DAG."""
        self.world = World(start)
        self.readers = Readers(self.world)
        self.books = Books(self.world)
        self.airflow = Airflow(self.world, self.readers.row_count)
        self.configuration = Configuration(
            *schedule, catchup=catchup, on_chain_end=on_chain_end, level=level, retries=retries
        )
        self.hand = Hand(self.world)
        for minute in (1, 7):
            self.write("a", {"n": {"N": str(minute)}}, minute)
        self.world.pass_time(days * DAY + 2 * HOUR)
        self.last_scheduled = start

    # ---------------------------------------------------------------------------------------------- the table

    @rule(key=keys, values=values, minutes=st.sampled_from([0, 0, 5, 61]))
    def write(self, key: str, values: dict[str, Any], minutes: int) -> None:
        """Put an item."""
        self._count("write")
        self.world.pass_time(minutes * MINUTE + MINUTE / 3)
        assert self.world.table
        self.world.table.write(self.world.now, key, values)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        """Delete an item, as a person or TTL does."""
        self._count("delete")
        self.world.pass_time(MINUTE / 3)
        assert self.world.table
        self.world.table.write(self.world.now, key, None)

    @rule(intervals=st.integers(0, 4), minutes=st.integers(0, 70))
    def time_passes(self, intervals: int, minutes: int) -> None:
        """Let time pass, in intervals of the schedule and minutes."""
        self._count("time passes")
        later = self.world.now
        for _ in range(intervals):
            later = self._boundary_after(later)
        self._pass(later - self.world.now + minutes * MINUTE)

    @rule(days=st.sampled_from([1, 2, 3]))
    def outage(self, days: int) -> None:
        """Let nothing run for days."""
        self._count("outage")
        if self._interval_length() < 6 * HOUR:
            self._make_daily()
        self._pass(days * DAY)

    @precondition(lambda self: self._has_claims())
    @rule(what=st.sampled_from(["recovery off", "recovery again", "short period", "long outage", "table again"]))
    def disaster(self, what: str) -> None:
        """Switch recovery off, or off and on, or shorten its period; let nothing run for months; make the table again."""
        self._count(f"disaster: {what}")
        table = self.world.table
        assert table
        if what == "table again":
            if len(self.world.tables) < 3:
                self.world.create_table()
                self.write("b", {"n": {"N": "9"}}, 0)
        elif what == "long outage":
            self._make_daily()
            self._pass((36 if len(self.world.exports) % 2 else 95) * DAY)
        elif what == "short period":
            table.earliest_restorable(self.world.now)
            table.period = (35 if table.period < 35 * DAY else 2) * DAY
            table.earliest_restorable(self.world.now)
        else:
            table.switch_recovery(self.world.now, on=False)
            table.switch_recovery(self.world.now, on=what == "recovery again")

    def _make_daily(self) -> None:
        """Declare a daily schedule: many windows would show nothing new and take long."""
        self.configuration = replace(self.configuration, schedule="0 0 * * *", timezone="UTC")

    # ---------------------------------------------------------------------------------------------- its exports

    @rule(fates=st.lists(fates, min_size=1, max_size=3))
    def exports_will(self, fates: list[Fate]) -> None:
        """Decide what becomes of the next exports."""
        self._count("exports will")
        self.world.fates = fates

    @rule(codes=st.lists(st.sampled_from(["LimitExceededException", "ThrottlingException"]), min_size=1, max_size=3))
    def exports_are_refused(self, codes: list[str]) -> None:
        """Refuse the next requests."""
        self._count("exports are refused")
        self.world.refusals = codes

    @precondition(lambda self: any(claim.window for claim in self.books.claims()))
    @rule(back=st.integers(0, 3))
    def started_by_hand(self, back: int) -> None:
        """Start an export by hand, into the folder of a claimed window."""
        self._count("started by hand")
        claims = [claim for claim in self.books.claims() if claim.window]
        claim = claims[max(-len(claims), -1 - back)]
        table = self.world.table
        assert claim.window
        assert table
        earliest = table.earliest_restorable(self.world.now)
        possible = earliest and earliest <= claim.window[0] and claim.window[1] + 5 * MINUTE <= self.world.now
        if possible and table.table_id == claim.table_id:
            request = claim.document["request"]
            self.hand.start_export(request["s3_prefix"], *claim.window, request["view"])

    # ---------------------------------------------------------------------------------------------- runs

    @rule(faults=faults, patient=st.booleans())
    def scheduled_run(self, faults: dict[int, Fault], patient: bool) -> None:
        """Let the scheduler begin the next run, if one is due and none is active."""
        self._count("scheduled run")
        if any(run.kind == "scheduled" and not run.is_over for run in self.runs):
            return
        if run := self._next_scheduled(faults):
            self._drive(run, patient=patient)

    @rule(intervals=st.integers(1, 3), faults=faults)
    def schedule_goes_on(self, intervals: int, faults: dict[int, Fault]) -> None:
        """Let time pass, and the scheduler do what is due."""
        self.time_passes(intervals, 0)
        self.waiting_runs_go_on(patient=True)
        self.scheduled_run(faults, patient=True)

    @rule(
        wish=st.sampled_from(["catch up", "from to", "re_export", "full_export", "new_base", "dry_run"]),
        back=st.integers(0, 3),
        length=st.integers(1, 2),
        minutes=st.sampled_from([0, 0, 20, -10]),
        faults=faults,
        patient=st.booleans(),
    )
    def manual_run(
        self, wish: str, back: int, length: int, minutes: int, faults: dict[int, Fault], patient: bool
    ) -> None:
        """Trigger the DAG by hand."""
        self._count(f"manual run: {wish}")
        self._drive(self._manual(wish, back, length, minutes, faults), patient=patient)

    @rule(back=st.integers(0, 8), length=st.integers(1, 2), faults=faults, patient=st.booleans())
    def backfill_run(self, back: int, length: int, faults: dict[int, Fault], patient: bool) -> None:
        """Let a backfill make the run of an interval."""
        self._count("backfill run")
        if interval := self._interval(back, length):
            self._drive(self._begin("backfill", interval, faults), patient=patient)

    @precondition(lambda self: self._has_claims() and self.books.head() is not None)
    @rule(gap=st.sampled_from([0, 5, 14, 20, 400]), minutes=st.sampled_from([15, 17, 200]), faults=faults)
    def operators_alone(self, gap: int, minutes: int, faults: dict[int, Fault]) -> None:
        """Let somebody's own DAG export a window near the end of what is covered; a hole before it may be too short to export alone."""
        self._count("operators alone")
        ends = [claim.window[1] for claim in self.books.claims() if claim.window]
        start = max([*ends, self.books.head() or self.world.now]) + gap * MINUTE
        if start + minutes * MINUTE < self.world.now:
            run = self._begin("manual", None, faults)
            run.alone = Stretch(start, start + minutes * MINUTE)
            self._drive(run, patient=True)

    @precondition(lambda self: any(run.is_over for run in self.runs))
    @rule(back=st.integers(0, 5), from_hand_over=st.booleans(), faults=faults)
    def run_is_cleared(self, back: int, from_hand_over: bool, faults: dict[int, Fault]) -> None:
        """Clear a run that is over, or its last tasks."""
        self._count("run is cleared")
        over = [run for run in self.runs if run.is_over]
        run = over[max(-len(over), -1 - back)]
        run.faults = faults
        run.configuration = replace(self.configuration, retries=run.configuration.retries)
        run.begin(from_hand_over=from_hand_over)
        self._drive(run, patient=True)

    @rule(
        kinds=st.tuples(
            *[st.sampled_from(["scheduled", "manual", "manual", "backfill", "cleared", "new_base", "re_export"])] * 2
        ),
        intervals=st.integers(0, 2),
        back=st.integers(0, 4),
        first=st.integers(1, 30),
        segments=segments,
        faults=faults,
    )
    def race(
        self,
        kinds: tuple[str, str],
        intervals: int,
        back: int,
        first: int,
        segments: list[int],
        faults: dict[int, Fault],
    ) -> None:
        """Let two runs take turns at AWS, where there is something to do: the first stops while it plans or claims."""
        self._count("race")
        if intervals:
            self.time_passes(intervals, 35)
        one, other = (self._racer(kind, back, faults) for kind in kinds)
        racers = [run for run in (one, other) if run]
        if one is other:
            racers = racers[:1]
        for position, calls in enumerate([first, *segments]):
            run = racers[position % len(racers)] if racers else None
            if run and not run.is_over:
                self._wake(run)
                run.go(calls)
        for run in racers:
            self._drive(run, patient=True)

    @precondition(lambda self: any(not run.is_over for run in self.runs))
    @rule(patient=st.booleans())
    def waiting_runs_go_on(self, patient: bool) -> None:
        """Let all runs go on whose time has come."""
        self._count("waiting runs go on")
        for run in self.runs:
            if not run.is_over:
                self._drive(run, patient=patient)

    @precondition(lambda self: any(not run.is_over for run in self.runs))
    @rule()
    def waiting_run_is_lost(self) -> None:
        """Let the scheduler give up a run that waits."""
        self._count("waiting run is lost")
        next(run for run in self.runs if not run.is_over).abandon()

    @rule(what=st.sampled_from(["repair", "lose Airflow", "delete summary", "old summary", "skew"]), minutes=skews)
    def something_happens(self, what: str, minutes: int) -> None:
        """Repair damaged exports, lose Airflow's database, delete the ledger's summary, bring an old one back, set the workers' clocks."""
        self._count(what)
        if what == "repair":
            self.world.repair()
        elif what == "lose Airflow":
            self._lose_airflow()
        elif what == "skew":
            self.airflow.skew = minutes * MINUTE
        else:
            key = f"{ROOT}/ledger/summary.json"
            current = self.world.bucket.objects.get(key)
            self.world.bucket.delete(key)
            if what == "old summary" and current:
                self.world.bucket.put(key, self.replaced.get(key, current.content))
                self.replaced[key] = current.content

    def _lose_airflow(self) -> None:
        for run in self.runs:
            if not run.is_over:
                run.abandon()
        self.runs = []
        self.airflow.handed_over = None

    @rule(
        schedule=st.sampled_from(SCHEDULES),
        settle=st.sampled_from([5, 5, 1, 30]),
        outputs=st.sampled_from([("snapshots", "changes"), ("snapshots", "changes"), ("changes",), ("snapshots",)]),
        view=st.sampled_from(["NEW_AND_OLD_IMAGES", "NEW_AND_OLD_IMAGES", "NEW_IMAGE"]),
        export_filter=st.sampled_from([None, None, FILTER]),
    )
    def configuration_changes(
        self,
        schedule: tuple[str, str],
        settle: int,
        outputs: tuple[str, ...],
        view: str,
        export_filter: dict[str, Any] | None,
    ) -> None:
        """Change what the user declares."""
        self._count("configuration changes")
        changed = replace(
            self.configuration,
            schedule=schedule[0],
            timezone=schedule[1],
            outputs=outputs,
            view=view,
            export_filter=export_filter,
        )
        if self._backlog(changed) <= MOST_WINDOWS:
            self.configuration = replace(changed, settle=settle * MINUTE)

    # ---------------------------------------------------------------------------------------------- the lake

    @precondition(lambda self: any(self.world.catalog.visible("changes")))
    @rule(back=st.integers(0, 3))
    def converted_files_are_deleted(self, back: int) -> None:
        """Delete the files of a partition of changes; its window is rebuilt at the end by a backfill."""
        self._count("converted files are deleted")
        partitions = self.world.catalog.visible("changes")
        partition = partitions[max(-len(partitions), -1 - back)]
        for each in self.world.bucket.listing(partition.location):
            self.world.bucket.delete(each.key)
        self.readers.holes.add(partition.values)

    # ---------------------------------------------------------------------------------------------- what must hold

    @invariant()
    def promises_hold(self) -> None:
        """Hold lake and ledger against what happened."""
        if not hasattr(self, "world"):
            return
        self._is_broken = True
        self.readers.check()
        self.books.check()
        chain, proof = self._ledger().read(self.configuration.outputs), self._ledger().read_every_object()
        promise(
            chain.head == self.books.head(),
            "head is",
            chain.head,
            "by the ledger,",
            self.books.head(),
            "by its objects",
        )
        promise(proof.head == chain.head, "head is", chain.head, "with the summary,", proof.head, "without")
        self._is_broken = False

    def teardown(self) -> None:
        """Let all disturbances stop, and see that everything heals."""
        try:
            if hasattr(self, "world") and not self._is_broken:
                self._heals()
        finally:
            for run in getattr(self, "runs", []):
                if not run.is_over:
                    run.abandon()
            self._model_time.__exit__(None, None, None)

    def _heals(self) -> None:
        TableLife.histories += 1
        world = self.world
        world.calm()
        self.airflow.skew = timedelta()
        assert world.table
        world.table.earliest_restorable(world.now)
        world.table.period = 35 * DAY
        world.table.switch_recovery(world.now, on=True)
        for run in self.runs:
            run.faults = {}
            if not run.is_over:
                self._drive(run, patient=True)
        outputs = ("snapshots", "changes")
        self.configuration = replace(
            self.configuration, outputs=outputs, on_chain_end="fail", retries=1, export_filter=None
        )
        self._rebuild_holes()
        interval = self._last_run()
        self.promises_hold()
        self._is_whole(interval.end)
        started = len(world.exports)
        # The same interval: an export that ran for a day may have made the next one due.
        again = self._begin("scheduled", interval, {})
        self._drive(again, patient=True)
        promise(again.state is State.SUCCESS, "a run with nothing to do failed:", again.errors)
        promise(not again.failed, "a run with nothing to do has tasks that fail:", again.failed, again.errors)
        promise(len(world.exports) == started, "a run with nothing to do exported something")
        TableLife.calls += world.calls

    def _last_run(self) -> Stretch:
        """Let scheduled runs go until one succeeds; take the remedy that an error names. Return the interval that it answers for."""
        for _ in range(6):
            self._pass(self._boundary_after(self.world.now) - self.world.now + 31 * MINUTE)
            interval = self._latest_interval()
            run = self._begin("scheduled", interval, {})
            self._drive(run, patient=True)
            self.promises_hold()
            if run.state is State.SUCCESS:
                promise(not run.failed, "nothing is lost, but these tasks fail:", run.failed, run.errors)
                if self._reaches(interval.end):
                    return interval
                continue
            error = next(error for _, error in run.errors)
            self._is_justified(error, run)
            if "new_base" in str(error):
                remedy = self._manual("new_base", 0, 1, 0, {})
                self._drive(remedy, patient=True)
                promise(remedy.state is State.SUCCESS, "the remedy", error, "does not help:", remedy.errors)
        raise AssertionError(f"runs do not heal: {run.state} {run.errors}")

    def _reaches(self, end: datetime) -> bool:
        head = self.books.head()
        return head is not None and head >= end

    def _is_justified(self, error: BaseException, run: Run) -> None:
        base = self.books.base()
        table = self.world.table
        assert table
        if isinstance(error, TableIdentityError):
            old = any(claim.table_id != table.table_id for claim in self.books.claims())
            promise(old, "the table is the same, but the run failed:", error)
        elif isinstance(error, PointInTimeRecoveryError):
            earliest = table.earliest_restorable(self.world.now)
            head = self.books.head() or (base.moment if base else None)
            promise(
                head is None or (earliest and earliest > head),
                "recovery reaches",
                earliest,
                "but the run failed:",
                error,
            )
        else:
            promise(
                base is None or isinstance(error, DdbExportError), "nothing disturbs, but the run failed:", run.errors
            )

    def _is_whole(self, until: datetime) -> None:
        """All up to the run's end is verified, published, and replays to the table's state."""
        base, head, table = self.books.base(), self.books.head(), self.world.table
        promise(base and head and head >= until, "head is", head, "after a run up to", until)
        assert base
        assert head
        assert table
        found = self.readers.replayed(table, base.moment, head)
        same_state(f"replayed to {head}", table.state_at(head), found)

    def _rebuild_holes(self) -> None:
        """Backfill what a person deleted, as ``docs/`` says."""
        self.readers.check()
        for values in sorted(self.readers.holes):
            start, end = (_moment(part) for part in values[-1].split("-"))
            base = self.books.base()
            table_ids = {export.table.table_id for export in self.world.exports if export.window == (start, end)}
            if base and base.table_id in table_ids and base.table_id == self.world.tables[-1].table_id:
                run = self._begin("backfill", Stretch(start, end), {})
                self._drive(run, patient=True)
                self.readers.check()
                promise(
                    values not in self.readers.holes,
                    "the backfill of",
                    values,
                    "rebuilt nothing:",
                    run.errors,
                )

    # ---------------------------------------------------------------------------------------------- how runs are made

    def _drive(self, run: Run, *, patient: bool) -> None:
        """Let a run go on until it ends; a patient clock goes on with it."""
        until = self.world.now + PATIENCE
        while not run.is_over:
            run.go()
            if run.sleeping_until and not run.is_over:
                if not patient or run.sleeping_until > until:
                    return
                self._wake(run)
        for task, error in run.errors:
            TableLife.errors[f"{task.split(' ', 1)[0]}: {type(error).__name__}"] += 1
            if isinstance(error, Death):
                continue
            promise("Remedy: " in str(error), "an error names no remedy:", error)
            promise(getattr(error, "code", "") != "ExportConflictException", "a token stands for two requests:", error)
        if run.state is State.SUCCESS and run.alone is None:
            # A failed task fails the run, unless another run has verified the same meanwhile.
            missing = self.books.unverified(run.xcoms.get(("plan", "exports"), ()))
            promise(not missing, "a run is green without", missing, "its failed tasks are", run.failed)

    def _wake(self, run: Run) -> None:
        if run.sleeping_until and run.sleeping_until > self.world.now:
            self._pass(run.sleeping_until - self.world.now)

    def _begin(
        self, kind: str, interval: Stretch | None, faults: dict[int, Fault], parameters: dict[str, Any] | None = None
    ) -> Run:
        number = TableLife.steps["runs"]
        TableLife.steps["runs"] += 1
        run = Run(f"{kind}__{number}", kind, self.airflow, self.configuration, interval, parameters or {}, dict(faults))
        self.runs.append(run)
        if self.configuration.on_chain_end == "new_base":
            self.books.wishes["base"] += 1
        run.begin()
        return run

    def _manual(self, wish: str, back: int, length: int, minutes: int, faults: dict[int, Fault]) -> Run:
        parameters: dict[str, Any] = {}
        if wish in ("from to", "re_export"):
            interval = self._interval(back, length)
            if interval:
                parameters = {"from": interval.start + minutes * MINUTE, "to": interval.end + minutes * MINUTE}
            if wish == "re_export":
                parameters = {**parameters, "re_export": True}
                if interval:
                    self.books.asked_again.append(Stretch(parameters["from"], parameters["to"]))
        elif wish != "catch up":
            parameters = {wish: True}
            self.books.wishes["base"] += wish == "new_base"
            self.books.wishes["snapshot"] += wish == "full_export"
        return self._begin("manual", None, faults, parameters)

    def _racer(self, kind: str, back: int, faults: dict[int, Fault]) -> Run | None:
        if kind == "scheduled":
            return self._next_scheduled(faults)
        if kind in ("manual", "new_base", "re_export"):
            return self._manual("catch up" if kind == "manual" else kind, back, 1, 0, faults)
        if kind == "backfill":
            interval = self._interval(back, 1)
            return self._begin("backfill", interval, faults) if interval else None
        over = [run for run in self.runs if run.is_over]
        if not over:
            return None
        run = over[max(-len(over), -1 - back)]
        run.configuration = replace(self.configuration, retries=run.configuration.retries)
        run.begin()
        return run

    def _next_scheduled(self, faults: dict[int, Fault]) -> Run | None:
        boundaries = self._boundaries(self.last_scheduled or self.world.now, self.world.now)
        if len(boundaries) < 2:
            return None
        first = 0 if self.configuration.catchup and len(boundaries) < 8 else len(boundaries) - 2
        self.last_scheduled = boundaries[first + 1] - MINUTE
        return self._begin("scheduled", Stretch(boundaries[first], boundaries[first + 1]), faults)

    def _latest_interval(self) -> Stretch:
        boundaries = self._boundaries(self.world.now - 3 * DAY, self.world.now)
        return Stretch(*boundaries[-2:])

    def _interval(self, back: int, length: int) -> Stretch | None:
        """Return an interval of the schedule, ``length`` of them long, the newest or one ``back`` older."""
        span = (back + length + 3) * self._interval_length() + DAY
        boundaries = self._boundaries(self.world.now - span, self.world.now)
        boundaries = boundaries[: len(boundaries) - back]
        return Stretch(boundaries[-1 - length], boundaries[-1]) if len(boundaries) > length else None

    def _boundaries(self, start: datetime, end: datetime) -> list[datetime]:
        return schedule_boundaries(self.configuration.schedule, self.configuration.timezone, start, end)

    def _boundary_after(self, moment: datetime) -> datetime:
        return self._boundaries(moment, moment + 2 * DAY)[0]

    def _interval_length(self) -> timedelta:
        first = self._boundary_after(self.world.now)
        return self._boundary_after(first) - first

    def _backlog(self, configuration: Configuration) -> int:
        base = self.books.base()
        reached = self.books.head() or (base.moment if base else self.world.now)
        return len(schedule_boundaries(configuration.schedule, configuration.timezone, reached, self.world.now))

    def _pass(self, duration: timedelta) -> None:
        """Let time pass; a schedule whose backlog would grow long becomes a daily one."""
        self.world.pass_time(max(duration, timedelta()))
        if self._backlog(self.configuration) > MOST_WINDOWS:
            self._make_daily()

    def _ledger(self) -> Ledger:
        store = StoreView(self.world.bucket, Worker(World(self.world.now), lambda: None), lambda: self.world.now)
        return Ledger(store, Lake(BUCKET, "tables", LAKE_NAME))

    def _has_claims(self) -> bool:
        return hasattr(self, "world") and bool(self.books.claims())

    def _count(self, name: str) -> None:
        TableLife.steps[name] += 1
        self._is_broken = True  # until the promises are found to hold after this step


def _moment(text: str) -> datetime:
    return datetime.strptime(f"{text}+0000", "%Y%m%dT%H%MZ%z")
