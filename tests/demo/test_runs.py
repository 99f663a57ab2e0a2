"""What the runs did is held against what must be, and each thing that does not hold is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from demo.runs import RunFigures, problems_of

UNTIL = datetime(2026, 11, 21, tzinfo=UTC)
FAILING = "20261119T0000Z-20261120T0000Z-a1"


def figures(day: int, **changes: Any) -> RunFigures:
    run = RunFigures(
        run_id=f"scheduled__2026-11-{day}",
        kind="incremental",
        start=f"2026-11-{day - 1}T00:00:00Z",
        end=f"2026-11-{day}T00:00:00Z",
        export_arn=f"arn/{day}",
        attempts=1,
        failed_export_arns=[],
        items=10,
        bytes=100,
        billed_bytes=10_000_000,
        partitions=["changes/…"],
    )
    return replace(run, **changes)


RUNS = [
    figures(18, kind="base", start=None),
    figures(19),
    figures(20, attempts=2, failed_export_arns=["arn/failed"]),
    figures(21),
]
EXPORTS = [
    {
        "export_arn": run.export_arn,
        "status": "COMPLETED",
        "billed_size_bytes": run.billed_bytes,
        "client_token": run.export_arn,
        "prefix": f"dynamodb/flights/raw/{run.end}-a{run.attempts}",
    }
    for run in RUNS
]
FAILED = {
    "export_arn": "arn/failed",
    "status": "FAILED",
    "billed_size_bytes": None,
    "client_token": "first",
    "prefix": f"dynamodb/flights/raw/{FAILING}",
}


def wrong(runs: list[RunFigures], exports: list[dict[str, Any]], head: datetime | None = UNTIL) -> list[str]:
    found = problems_of(runs, exports, head=head, until=UNTIL, failing=FAILING)
    return [check for check, problem in found.items() if problem]


def test_everything_holds():
    assert wrong(RUNS, [*EXPORTS, FAILED]) == []


@pytest.mark.parametrize(
    ("runs", "check"),
    [
        ([RUNS[0], RUNS[2], RUNS[3]], "base and windows follow each other"),
        ([replace(RUNS[0], kind="incremental"), *RUNS[1:]], "base and windows follow each other"),
        ([*RUNS[:3], replace(RUNS[3], billed_bytes=1)], "billed bytes equal"),
        ([*RUNS[:3], replace(RUNS[3], partitions=[])], "each run registered"),
        ([*RUNS[:2], replace(RUNS[2], failed_export_arns=[]), RUNS[3]], "one export failed and healed"),
    ],
)
def test_a_run_that_is_not_as_it_must_be_is_found(runs, check):
    assert any(each.startswith(check) for each in wrong(runs, [*EXPORTS, FAILED]))


def test_an_export_that_no_run_knows_is_found():
    assert wrong(RUNS, [*EXPORTS, {**EXPORTS[0], "export_arn": "arn/second-bill"}, FAILED]) == [
        "billed bytes equal the lab's record of COMPLETED exports"
    ]


@pytest.mark.parametrize(
    "failed",
    [
        {"client_token": "arn/20"},
        {"prefix": EXPORTS[2]["prefix"]},
        {"export_arn": "arn/other"},
        {"status": "COMPLETED"},
    ],
)
def test_a_second_attempt_that_is_not_a_new_one_is_found(failed):
    assert any(each.startswith("one export failed") for each in wrong(RUNS, [*EXPORTS, {**FAILED, **failed}]))


def test_a_head_that_lags_behind_is_found():
    assert wrong(RUNS, [*EXPORTS, FAILED], head=None) == ["the ledger's head is 2026-11-21T00:00:00Z"]
