"""The lines of ``ddb-export plan``: few, and in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.cli.plan import EMPTY_DOCUMENT
from ddb_export.cli.plan_report import _alike, _duration, lines

DOCUMENT: dict[str, Any] = {
    **EMPTY_DOCUMENT,
    "ok": True,
    "table": "orders",
    "run": {"kind": "manual", "start": None, "end": None, "runs": 1},
    "recovery": {"enabled": True, "earliest": "E", "latest": "L", "period_days": None},
    "usd": "0",
    "budget": {"run_usd": None, "dearest_run_usd": "0", "month_usd": None, "spent_this_month_usd": None},
}


def window(start: int, action: str = "export", reason: str = "why", price: str = "0.001") -> dict[str, Any]:
    return {
        "kind": "window", "action": action, "reason": reason, "start": f"{start:04}", "end": f"{start + 1:04}",
        "export_time": None, "usd": price,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"), (59, "less than a minute"), (60, "1 min"), (3600, "1 h"), (29_100, "8 h 5 min"),
        (86_400, "1 day"), (2 * 86_400 + 8 * 3600 + 300, "2 days 8 h"), (86_460, "1 day 1 min"),
    ],
)  # fmt: skip
def test_lengths_of_time_have_two_units_at_most(seconds, words):
    assert _duration(seconds) == words


@given(st.lists(st.tuples(st.sampled_from(["export", "continue"]), st.integers(0, 3)), max_size=20))
def test_groups_hold_every_export_once_in_order(drawn):
    position, exports = 0, []
    for action, gap in drawn:
        position += 1 + (gap == 0)
        exports.append(window(position, action))
    groups = _alike(exports)
    assert [each for group in groups for each in group] == exports
    assert all(len({each["action"] for each in group}) == 1 for group in groups)
    assert all(first["end"] == second["start"] for group in groups for first, second in zip(group, group[1:]))  # noqa: B905, RUF007


def test_many_windows_are_one_line_and_few_are_not():
    few = lines({**DOCUMENT, "exports": [window(each) for each in range(4)], "usd": "0.004"})
    assert sum("window " in line for line in few) == 4
    many = lines({**DOCUMENT, "exports": [window(each) for each in range(100)], "usd": "0.1"})
    assert [line.split() for line in many if "windows" in line] == [
        ["export", "100", "windows", "0000", "to", "0100", "0.10", "USD", "why"]
    ]


def test_a_plan_of_very_many_lines_is_cut_and_says_so():
    shown = lines({**DOCUMENT, "exports": [window(2 * each) for each in range(100)], "usd": "0.1"})
    assert sum("window " in line for line in shown) == 60
    assert "  …            40 lines more; --json shows all" in shown


def test_a_label_that_repeats_is_named_once():
    shown = lines({**DOCUMENT, "notes": ["one", "two"], "basis": ["three"]})
    assert shown[-5:] == [
        "  note         one",
        "               two",
        "  price        nothing",
        "  basis        three",
        "  budget       none is set",
    ]
    assert shown[0] == "orders: nothing to do"
