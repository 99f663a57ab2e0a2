"""The report on holes: derived from evidence, whatever the order in which it came."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.evidence import Claim, ClaimKind, VerifiedEntry
from ddb_export.domain.export import ExportRequest, export_name
from ddb_export.domain.gaps import find_gaps
from ddb_export.domain.ledger import Chain
from ddb_export.domain.window import Window

BASE = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ARN = "arn:aws:dynamodb:us-east-1:111122223333:table/orders"


def claim(sequence: int, hour: int | None, attempt: int = 1) -> Claim:
    window = None if hour is None else Window(BASE + hour * HOUR, BASE + (hour + 1) * HOUR)
    request = ExportRequest(ARN, "lake", "raw", None if window else BASE, window)
    kind = ClaimKind.WINDOW if window else ClaimKind.BASE
    return Claim(sequence, 1, kind, attempt, request, "id", BASE, "test")


def entry(made: Claim) -> VerifiedEntry:
    window = made.window
    return VerifiedEntry(
        export=export_name(made.request, made.attempt),
        kind=made.kind,
        attempt=made.attempt,
        export_arn=f"{ARN}/export/x",
        table_arn=ARN,
        table_id="id",
        export_time=made.request.export_time,
        start=window.start if window else None,
        end=window.end if window else None,
        view=None,
        bucket="lake",
        manifest_key="",
        level="bytes",
        files=1,
        item_count=1,
        bytes_read=1,
        billed_bytes=1,
        ttl_attribute=None,
        verified_at=BASE,
    )


def chain(hours: list[int], verified: set[int], *, base: bool = True) -> Chain:
    claims = [claim(1, None), *(claim(number, hour) for number, hour in enumerate(hours, start=2))]
    entries = [entry(claims[0])] if base else []
    entries += [entry(each) for each, hour in zip(claims[1:], hours, strict=True) if hour in verified]
    return Chain(None, tuple(claims), {each.export: each for each in entries})


class TestHoles:
    def test_none_in_a_contiguous_chain(self):
        report = find_gaps(chain([0, 1, 2], {0, 1, 2}), BASE + 5 * HOUR)
        assert (report.ok, report.head, report.lag, report.holes) == (True, BASE + 3 * HOUR, 2 * HOUR, ())

    def test_failed_window_with_later_ones_is_a_hole_and_an_island(self):
        report = find_gaps(chain([0, 1, 2], {0, 2}), BASE + 5 * HOUR)
        assert not report.ok
        assert [str(hole.stretch) for hole in report.holes] == ["[2026-03-01T01:00:00Z, 2026-03-01T02:00:00Z)"]
        assert report.holes[0].cause.startswith("claim 3 (attempt 1) holds")
        assert len(report.islands) == 1

    def test_what_was_never_claimed_is_a_hole(self):
        report = find_gaps(chain([0, 2], {0, 2}), BASE + 5 * HOUR)
        assert report.holes[0].cause == "it was never claimed"

    def test_unverified_window_at_the_end_is_pending_not_a_hole(self):
        report = find_gaps(chain([0, 1], {0}), BASE + 5 * HOUR)
        assert report.ok
        assert len(report.pending) == 1

    def test_window_before_the_base_is_history(self):
        report = find_gaps(chain([-2, 0], {-2, 0}), BASE + 5 * HOUR)
        assert report.ok
        assert len(report.history) == 1

    def test_windows_that_overlap_are_named_but_not_where_one_replaced_the_other(self):
        whole = chain([0, 1], {0, 1})
        wide = replace(claim(4, 0), request=ExportRequest(ARN, "lake", "raw", None, Window(BASE, BASE + 1.5 * HOUR)))
        double = replace(whole, claims=(*whole.claims, wide), verified={**whole.verified, wide.export: entry(wide)})
        found = find_gaps(double, BASE + 5 * HOUR).overlaps
        assert sum((each.length for each in found), timedelta()) == 1.5 * HOUR
        narrow = replace(
            whole.claims[2], request=replace(wide.request, window=Window(BASE + 1.5 * HOUR, BASE + 2 * HOUR))
        )
        replacing = [
            replace(each, sequence=number, supersedes=tuple(part.subject for part in whole.claims[1:]))
            for number, each in enumerate((wide, narrow), start=4)
        ]
        entries = {each.export: entry(each) for each in replacing}
        report = find_gaps(
            replace(whole, claims=(*whole.claims, *replacing), verified={**whole.verified, **entries}), BASE + 5 * HOUR
        )
        assert (report.ok, report.head, report.overlaps) == (True, BASE + 2 * HOUR, ())

    def test_base_that_is_not_verified_is_said_so(self):
        report = find_gaps(chain([0], {0}, base=False), BASE + 5 * HOUR)
        assert not report.ok
        assert report.to_json()["errors"][0]["cause"] == "the chain has no verified base"


@given(st.sets(st.integers(0, 12)), st.permutations(range(13)))
def test_holes_are_exactly_the_missing_hours_below_the_last_verified_one(verified: set[int], order: list[int]):
    report = find_gaps(chain(list(order), verified), BASE + 20 * HOUR)
    expected = {hour for hour in range(max(verified, default=-1) + 1) if hour not in verified}
    found = {
        hour
        for hour in range(13)
        for hole in report.holes
        if hole.stretch.start <= BASE + hour * HOUR < hole.stretch.end
    }
    assert found == expected
    assert report.ok == (not expected)
