"""A partition key says which window it is of, and can be read back; nothing else can."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.partition_key import LONGEST_KEY, PartitionKey
from ddb_export.domain.window import Window
from ddb_export.exceptions import UsageError

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,237}", fullmatch=True)
MINUTES = st.integers(0, 60 * 24 * 365 * 60).map(
    lambda minutes: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
START = datetime(2026, 11, 20, tzinfo=UTC)


@given(NAMES, MINUTES, st.integers(15, 24 * 60))
def test_a_windows_key_can_be_read_back(name, start, minutes):
    key = PartitionKey(name, Window(start, start + timedelta(minutes=minutes)))
    read = PartitionKey.parse(str(key))
    assert len(str(key)) <= LONGEST_KEY
    assert (read.window, str(read)) == (key.window, str(key))
    assert read.table == name if len(name) <= 208 else read.table[:199] == name[:199]


@given(NAMES, MINUTES, st.integers(0, 59))
def test_a_full_exports_key_can_be_read_back(name, minute, seconds):
    key = PartitionKey(name, export_time=minute + timedelta(seconds=seconds))
    assert PartitionKey.parse(str(key)).export_time == key.export_time


def test_long_names_that_begin_alike_have_keys_of_their_own():
    window = Window(START, START + timedelta(days=1))
    keys = {str(PartitionKey("t" * 230 + end, window)) for end in ("a", "b")}
    assert sorted(map(len, keys)) == [LONGEST_KEY, LONGEST_KEY]


def test_a_key_names_its_partition_and_a_condition():
    window = PartitionKey.parse("orders|2026-11-20T00:00:00Z/2026-11-21T00:00:00Z")
    assert window.partition == "changes/dt=2026-11-20/export_window=20261120T0000Z-20261121T0000Z"
    assert window.condition == "dt = '2026-11-20' AND export_window = '20261120T0000Z-20261121T0000Z'"
    assert PartitionKey.parse("orders|2026-11-20T00:00:00Z").condition == "export_time = '20261120T0000Z'"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "orders",
        "|2026-11-20T00:00:00Z",
        "orders|2026-11-20T00:00:00",
        "orders|2026-11-20",
        "orders|2026-11-20T00:00:00Z/2026-11-20T00:05:00Z",
        "orders|2026-11-20T00:00:00+00:00/2026-11-21T00:00:00+00:00",
    ],
)
def test_what_is_no_key_is_refused_with_a_remedy(text):
    with pytest.raises(UsageError, match=r"^partition key .*: .*\. Remedy: "):
        PartitionKey.parse(text)


def test_a_key_is_of_one_thing():
    with pytest.raises(ValueError, match="one window or of one full export"):
        PartitionKey("orders")
