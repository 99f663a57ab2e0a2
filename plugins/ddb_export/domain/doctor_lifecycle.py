"""A bucket's lifecycle rules → findings: what they would take away from a table's folder in the lake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ddb_export.domain.doctor import Declared, Finding, Level
from ddb_export.domain.lifecycle import LifecycleRule
from ddb_export.domain.retention import TIER_TAG

_LARGEST_OF_LEDGER = 2**20
"""Bytes; rules about larger objects only cannot be about the ledger's."""


def lifecycle_findings(declared: Declared, rules: Sequence[LifecycleRule]) -> Iterator[Finding]:
    """Yield a finding for each enabled rule that takes something away below the table's folder, or one that says that there is none."""
    tags = _tags_of_raw_files(declared)
    harmful = [rule for rule in rules if rule.harm and not _is_our_tiering(rule, declared)]
    ledger = [rule for rule in harmful if rule.touches(f"{declared.folder}/ledger") and _meets_small(rule)]
    folder = [rule for rule in harmful if rule not in ledger and rule.touches(declared.folder)]
    tagged = [rule for rule in harmful if rule.tags and rule.touches(f"{declared.folder}/raw", tags)]
    yield from (_of_ledger(declared, rule) for rule in ledger)
    yield from (_of_folder(declared, rule) for rule in folder)
    yield from (_of_tagged(declared, rule) for rule in tagged)
    if not ledger and not folder and not tagged:
        yield Finding("lifecycle", Level.OK, f"no rule takes anything away below {declared.folder}/")


def _of_ledger(declared: Declared, rule: LifecycleRule) -> Finding:
    found = f"rule '{rule.name}' {rule.harm} what is below '{rule.prefix}': the ledger {declared.folder}/ledger/ too"
    return Finding("lifecycle", Level.FAIL, found, "narrow the rule's prefix, so that the ledger stays")


def _of_folder(declared: Declared, rule: LifecycleRule) -> Finding:
    found = f"rule '{rule.name}' {rule.harm} what is below '{rule.prefix}', which touches {declared.folder}/"
    remedy = (
        f"take {declared.folder}/ out of it; ddb-export lifecycle {declared.name} lets go of raw files when what is made of them is"
        " published, and published files must stay for as long as Glue names them"
    )
    return Finding("lifecycle", Level.WARN, found, remedy)


def _of_tagged(declared: Declared, rule: LifecycleRule) -> Finding:
    tags = " and ".join(f"{key}={value}" for key, value in rule.tags)
    found = f"rule '{rule.name}' {rule.harm} what is tagged {tags} below '{rule.prefix}': raw files in {declared.folder}/raw/ are, too"
    remedy = (
        f"take {declared.folder}/raw/ out of it, or change retention.object_tags; ddb-export lifecycle {declared.name} lets go of raw"
        " files when what is made of them is published"
    )
    return Finding("lifecycle", Level.WARN, found, remedy)


def _tags_of_raw_files(declared: Declared) -> Mapping[str, str | None]:
    """Return the tags that ``ddb-export lifecycle`` puts on raw data files; files that were tiered before may have another class."""
    return {**declared.retention.object_tags, TIER_TAG: None}


def _is_our_tiering(rule: LifecycleRule, declared: Declared) -> bool:
    """Tell whether a rule does what the configuration asks for and nothing else: it moves what we tagged for it."""
    wanted = declared.retention.storage_class
    return not rule.deletes and wanted is not None and rule.tags == ((TIER_TAG, wanted),) and rule.moves_to == {wanted}


def _meets_small(rule: LifecycleRule) -> bool:
    return rule.larger_than < _LARGEST_OF_LEDGER
