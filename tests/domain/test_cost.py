"""What a plan costs: only what DynamoDB is asked for, exactly, on a basis in words, and never above the budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.cost import (
    GIGABYTE,
    SMALLEST_WINDOW_BYTES,
    BilledWindow,
    Budget,
    Estimate,
    Prices,
    estimate,
    money,
    prices_of,
    require_within_budget,
    size_in_words,
    usd,
)
from ddb_export.domain.evidence import ClaimKind
from ddb_export.domain.plan import Action, Plan, PlannedExport
from ddb_export.domain.window import Window
from ddb_export.exceptions import BudgetError, ConfigurationError

START = datetime(2026, 3, 1, tzinfo=UTC)
PRICES = Prices(Decimal("0.10"), Decimal("0.10"), Decimal("0.005"), Decimal(5), "of a test")
DAY = timedelta(days=1)


def window(action: Action = Action.EXPORT, start: datetime = START, length: timedelta = DAY) -> PlannedExport:
    return PlannedExport(ClaimKind.WINDOW, action, "test", window=Window(start, start + length))


def full(action: Action = Action.EXPORT, kind: ClaimKind = ClaimKind.BASE) -> PlannedExport:
    return PlannedExport(kind, action, "test", START)


def plan(*exports: PlannedExport) -> Plan:
    base = next((each for each in exports if each.window is None), None)
    return Plan(base, tuple(each for each in exports if each.window), START)


def billed(megabytes: int, length: timedelta = DAY, files: int = 4) -> BilledWindow:
    return BilledWindow(length, megabytes * 10**6, files)


def test_full_export_costs_the_size_of_the_table():
    estimated = estimate(plan(full()), 12 * GIGABYTE, (), PRICES)
    # 12 GB at 0.10 USD, the requests of four files: (4 * 3 + 5) * 0.005 / 1000, and a count: 10 MB of 5 USD per TB.
    assert estimated.total == Decimal("1.200135")
    assert estimated.basis == (
        (
            "1 full export: 12.0 GB at 0.10 USD per GB; size of the table and its local indexes, which DynamoDB measures"
            " about every 6 hours"
        ),
        "S3: about 17 requests that write files, at 0.005 USD per 1,000",
        "Athena: 1 count of what is published, 10.0 MB each, the least that is billed, at 5 USD per TB",
        "prices: of a test",
    )


def test_snapshot_beside_the_chain_costs_the_same_as_a_base():
    base, snapshot = (
        estimate(plan(full(kind=kind)), GIGABYTE, (), PRICES) for kind in (ClaimKind.BASE, ClaimKind.SNAPSHOT)
    )
    assert base.total == snapshot.total > 0


def test_table_that_dynamodb_has_not_measured_yet_is_said_to_be_so():
    estimated = estimate(plan(full()), 0, (), PRICES)
    assert estimated.lines[0].billed_bytes == 0
    assert "a table that was filled just now counts as empty" in estimated.basis[0]


def test_windows_cost_what_the_windows_before_them_did():
    history = [billed(240), billed(480, 2 * DAY)]
    estimated = estimate(plan(window(), window(start=START + DAY, length=DAY / 2)), 0, history, PRICES)
    assert [line.billed_bytes for line in estimated.lines] == [240_000_000, 120_000_000]
    assert estimated.lines[0].basis == "240.0 MB, by the windows before it"
    assert estimated.basis[0] == (
        "2 windows: 360.0 MB at 0.10 USD per GB; the last 2 windows were billed 10.0 MB an hour; at least 10.0 MB a window"
    )


def test_window_without_history_is_assumed_and_said_to_be():
    (line,) = estimate(plan(window()), 50 * GIGABYTE, (), PRICES).lines
    assert line.billed_bytes == 5 * GIGABYTE
    assert line.basis == "5.0 GB, assumed, as no window was billed yet"


@pytest.mark.parametrize("action", [Action.PUBLISH, Action.REBUILD])
@pytest.mark.parametrize("make", [full, window])
def test_what_exists_costs_nothing(action, make):
    estimated = estimate(plan(make(action)), 10**15, [billed(10**6)], PRICES)
    assert estimated.total == 0
    assert estimated.billed == ()
    assert estimated.basis == ("DynamoDB is asked for nothing new, so it bills nothing",)
    require_within_budget(estimated, Budget(Decimal(0)))


@pytest.mark.parametrize("make", [full, window])
def test_claimed_export_costs_unless_it_was_started(make):
    planned = make(Action.CONTINUE)
    assert estimate(plan(planned), GIGABYTE, (), PRICES).total > 0
    started = estimate(plan(planned), GIGABYTE, (), PRICES, started={planned})
    assert started.total == 0
    assert started.lines[0].basis == "the export exists"


def test_export_again_costs_again():
    assert estimate(plan(window(Action.EXPORT_AGAIN)), 0, (), PRICES).total > 0


@pytest.mark.scenario("F34")
def test_over_the_budget_is_refused_with_sum_basis_and_remedy():
    exports = [window(start=START + number * DAY) for number in range(30)]
    estimated = estimate(plan(*exports), 0, [billed(10_000)], PRICES)
    with pytest.raises(BudgetError) as caught:
        require_within_budget(estimated, Budget(Decimal(25)), "run backfill__1 of orders")
    error = caught.value
    assert not error.retryable
    assert error.thing == "run backfill__1 of orders"
    assert error.cause == (
        "30 exports would cost about 30.01 USD, more than the budget of 25.00 USD a run; the dearest is window"
        " [2026-03-01T00:00:00Z, 2026-03-02T00:00:00Z), 1.01 USD: 10.0 GB, by the windows before it"
    )
    assert error.remedy == "set budget.run of the table to 30.01 USD or more if that is worth it, or ask for less"


@given(
    actions=st.lists(st.sampled_from(list(Action)), min_size=1, max_size=8),
    table_bytes=st.integers(0, 10**15),
    history=st.lists(
        st.builds(
            BilledWindow,
            st.integers(15, 1440).map(lambda minutes: timedelta(minutes=minutes)),
            st.integers(SMALLEST_WINDOW_BYTES, 10**13),
            st.integers(1, 10_000),
        ),
        max_size=5,
    ),
    minutes=st.integers(15, 1440),
)
def test_estimate_is_the_exact_sum_of_its_lines(actions, table_bytes, history, minutes):
    length = timedelta(minutes=minutes)
    exports = [window(action, START + number * DAY, length) for number, action in enumerate(actions)]
    estimated = estimate(plan(full(), *exports), table_bytes, history, PRICES)
    assert [line.planned for line in estimated.lines] == [full(), *exports]
    paid = [each for each in exports if each.action.asks_dynamodb or each.action is Action.CONTINUE]
    assert [line.planned for line in estimated.billed] == [full(), *paid]
    windows = estimated.billed[1:]
    assert all(line.billed_bytes >= SMALLEST_WINDOW_BYTES for line in windows)
    requests = sum(line.requests for line in estimated.billed)
    size = sum(line.billed_bytes for line in estimated.billed)
    by_size, by_request = size * Decimal("0.10"), requests * GIGABYTE * Decimal("0.000005")
    assert estimated.total * GIGABYTE == by_size + by_request + len(estimated.billed) * GIGABYTE * Decimal("0.00005")
    for budget, fits in ((estimated.total, True), (estimated.total - Decimal("0.000000001"), False)):
        if fits:
            require_within_budget(estimated, Budget(budget))
        else:
            with pytest.raises(BudgetError):
                require_within_budget(estimated, Budget(budget))


@given(
    history=st.lists(st.integers(10, 10**6), min_size=1, max_size=6),
    minutes=st.integers(15, 1439),
    table_bytes=st.integers(0, 10**14),
)
def test_more_time_never_costs_less(history, minutes, table_bytes):
    given_history = [billed(each) for each in history]
    for known in ((), given_history):
        shorter, longer = (
            estimate(plan(window(length=timedelta(minutes=each))), table_bytes, known, PRICES).total
            for each in (minutes, minutes + 1)
        )
        assert shorter <= longer


def test_a_single_export_is_named_itself():
    with pytest.raises(BudgetError) as caught:
        require_within_budget(estimate(plan(full()), 10 * GIGABYTE, (), PRICES), Budget(Decimal("0.5")))
    assert caught.value.cause == (
        "base 2026-03-01T00:00:00Z would cost about 1.01 USD, more than the budget of 0.50 USD a run: table size 10.0 GB"
    )


def test_no_budget_is_no_limit():
    require_within_budget(estimate(plan(full()), 10**15, (), PRICES), Budget())


class TestPrices:
    def test_of_the_region_that_is_known(self):
        prices = prices_of("us-east-1")
        assert (prices.full_export_per_gb, prices.incremental_export_per_gb) == (Decimal("0.10"), Decimal("0.10"))
        assert prices.source == "AWS's of us-east-1 as of 2026-11-21"

    def test_of_another_region_err_on_the_high_side(self):
        prices = prices_of("eu-west-1")
        assert prices.full_export_per_gb == Decimal("0.120")
        assert (
            prices.source == "AWS's of us-east-1 as of 2026-11-21 plus 20 %, as those of eu-west-1 are not known here"
        )

    def test_of_the_configuration_win(self):
        prices = prices_of("eu-west-1", {"full_export_per_gb": "0.114", "s3_put_per_thousand": None})
        assert prices.full_export_per_gb == Decimal("0.114")
        assert prices.source.endswith("; the configuration's for full_export_per_gb")
        all_own = {
            **dict.fromkeys(("full_export_per_gb", "athena_per_tb"), 1),
            "incremental_export_per_gb": 2,
            "s3_put_per_thousand": Decimal("0.3"),
        }
        assert prices_of("eu-west-1", all_own) == Prices(
            Decimal(1), Decimal(2), Decimal("0.3"), Decimal(1), "the configuration's"
        )

    def test_with_unknown_names_are_refused(self):
        with pytest.raises(ConfigurationError, match="there is no such price"):
            prices_of("us-east-1", {"full_export": 1})


@given(st.decimals(0, 10**11, places=9))
def test_amounts_are_read_exactly(amount):
    assert money(f"{amount:f}", "x") == money(amount, "x") == amount


@pytest.mark.parametrize("wrong", [0.1, True, "-1", "1e3", "", "1,5", "٣", Decimal("NaN"), Decimal(-1), None, "25\n"])
def test_what_is_no_amount(wrong):
    with pytest.raises(ConfigurationError, match="is no amount in USD"):
        money(wrong, "budget")


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "0.00 USD"),
        ("0.001085", "0.0011 USD"),
        ("0.99999", "1.0000 USD"),
        ("0.5", "0.50 USD"),
        ("25", "25.00 USD"),
        ("1.2001", "1.21 USD"),
    ],
)
def test_amounts_for_people_are_rounded_up(amount, words):
    assert usd(Decimal(amount)) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (10**7, "10.0 MB"), (10**9, "1.0 GB"), (25 * 10**11, "2.5 TB")],
)
def test_sizes_for_people_are_decimal(size, words):
    assert size_in_words(size) == words


def test_json_holds_money_as_text():
    document = estimate(plan(window()), 0, (), PRICES).lines[0].to_json()
    assert document["usd"] == "0.001135"
    assert document["estimated_bytes"] == SMALLEST_WINDOW_BYTES
    assert replace(Estimate(), basis=("x",)).total == 0
