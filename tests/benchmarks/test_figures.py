"""The table of all benchmarks."""

from __future__ import annotations

import re

import pytest

from benchmarks.figures import Figure, shown, table


def test_a_row_names_both_figures_and_how_many_times_better_ours_is():
    lines = table(
        [
            Figure("conversion", "orders, 64 MB", "MB/s", 60.0, 20.0, more_is_better=True, note="boto3"),
            Figure("waiting", "1,000 waits", "MiB", 40.0, 160.0),
            Figure("planning", "100,000 windows", "requests", 4),
        ]
    )
    cells = [re.split(r"\s{2,}", line) for line in lines]
    assert cells[0] == ["benchmark", "case", "measured", "ours", "peer", "better by", "peer, note"]
    assert cells[2:] == [
        ["conversion", "orders, 64 MB", "MB/s", "60.0", "20.0", "3.00 x", "boto3"],
        ["waiting", "1,000 waits", "MiB", "40.0", "160", "4.00 x"],
        ["planning", "100,000 windows", "requests", "4"],
    ]


@pytest.mark.parametrize(
    ("figure", "text"), [(0.0, "0"), (0.5512, "0.55"), (12.345, "12.3"), (1234.5, "1,234"), (4, "4"), (5023, "5,023")]
)
def test_digits_that_mean_nothing_are_left_out(figure: float, text: str):
    assert shown(figure) == text


def test_without_a_peer_or_with_nothing_to_compare_no_factor_is_told():
    assert Figure("waiting", "none", "calls/s", 0.0, 0.0).better_by is None
    assert Figure("memory", "none", "MiB", 1.0).better_by is None
