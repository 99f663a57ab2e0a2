"""Rules of retention that need no lake: lifecycle rules among those of others, tags, what a removal says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ddb_export.domain.retention import (
    TIER_TAG,
    Fate,
    Removal,
    Retention,
    RetentionFacts,
    judge_one,
    lifecycle_rule,
    merged_rules,
    rule_name,
    tags_digest,
)
from tests.domain.test_standing import re_exported

TIERING = Retention(tier_after=timedelta(days=30), storage_class="GLACIER_IR")
FOLDER = "tables/orders"
LOGS: dict[str, Any] = {"ID": "logs", "Status": "Enabled", "Prefix": "logs/", "Expiration": {"Days": 9}}
OTHER: dict[str, Any] = {"ID": rule_name("tables/orders2"), "Status": "Disabled", "Filter": {"Prefix": "x/"}}


def test_the_rule_is_about_tagged_objects_of_raw_only():
    rule = lifecycle_rule(FOLDER, TIERING)
    assert rule is not None
    tags = [{"Key": TIER_TAG, "Value": "GLACIER_IR"}]
    assert rule["Filter"] == {"And": {"Prefix": "tables/orders/raw/", "Tags": tags}}
    assert rule["Transitions"] == [{"Days": 30, "StorageClass": "GLACIER_IR"}]
    assert "Expiration" not in rule
    assert lifecycle_rule(FOLDER, Retention(keep=timedelta(days=90))) is None


def test_rules_of_others_stay_and_an_old_form_becomes_what_s3_takes_beside_a_filter():
    rule = lifecycle_rule(FOLDER, TIERING)
    merged = merged_rules([LOGS, OTHER], FOLDER, rule)
    assert merged == [
        {"ID": "logs", "Status": "Enabled", "Expiration": {"Days": 9}, "Filter": {"Prefix": "logs/"}},
        OTHER,
        rule,
    ]
    assert merged_rules(merged, FOLDER, rule) == merged
    assert merged_rules(merged, FOLDER, None) == merged[:2]
    assert merged_rules([LOGS], FOLDER, None) == [LOGS]


def test_a_rule_of_ours_that_someone_changed_is_set_again_and_a_size_that_says_nothing_is_no_change():
    rule = lifecycle_rule(FOLDER, TIERING)
    assert rule is not None
    sized = {**rule, "Filter": {"And": {**rule["Filter"]["And"], "ObjectSizeGreaterThan": 0}}}
    assert merged_rules([LOGS, sized], FOLDER, rule) == [LOGS, sized]
    assert merged_rules([{**rule, "Status": "Disabled"}], FOLDER, rule) == [rule]
    assert merged_rules([{**rule, "Expiration": {"Days": 1}}], FOLDER, rule) == [rule]


def test_names_fit_into_255_characters_and_stay_apart():
    long = ["a" * 500 + str(number) for number in range(3)]
    assert len({rule_name(folder) for folder in long}) == 3
    assert all(len(rule_name(folder)) <= 255 for folder in long)


def test_tags_have_one_digest_whatever_their_order():
    assert tags_digest({"a": "1", "b": "2"}) == tags_digest({"b": "2", "a": "1"}) != tags_digest({"a": "1"})


@pytest.mark.parametrize("successors", [(), ("w-a2",)])
def test_a_removal_is_read_as_it_was_written(successors: tuple[str, ...]):
    when = datetime(2026, 3, 1, 12, tzinfo=UTC)
    removal = Removal("w-a1", "arn", 4, 100, "bytes", "published", when, successors)
    assert Removal.from_json({**removal.to_json(), "of a newer version": 1}) == removal
    assert removal.words == (
        "its raw data was removed by retention on 2026-03-01T12:00:00Z; what was published of it stays"
    )


def test_raw_files_wait_for_a_next_attempt_until_it_is_left_for_good():
    history = re_exported()
    next_attempt = history.chain.claims[-1]
    facts = RetentionFacts(history.chain, (), ("snapshots", "changes"))
    verdicts = [
        judge_one(
            replace(facts, left=left),
            f"{next_attempt.subject}-a1",
            Retention(keep=timedelta(days=9)),
            history.now + timedelta(days=99),
            lambda _: None,
        )
        for left in (frozenset(), frozenset({next_attempt.export}))
    ]
    assert [each.fate for each in verdicts] == [Fate.STAY, Fate.DELETE]
    assert verdicts[0].reason == "attempt 2 is claimed and not verified yet"
