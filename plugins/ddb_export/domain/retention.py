"""Which raw exports may go, may move to a cheaper storage class, or must stay, each with its reason in words.

Raw exports are what everything else is made of, so the rule is narrow: data files may go only where the ledger proves that all they hold
is published, where readers no longer look at the files themselves, where nothing is under way that needs them, and where the published
files are whole and hold every record exactly (nothing dropped, hashed or in quarantine). Of an export that was exported again the same
is asked of what took its place, which must have asked for the same view and filter. The base of the live chain always stays. The
manifests, some kilobytes, stay for good: with the published files they are enough to write a lost ledger again.

What is lost with the data files is making the published files again from them: other column types (a widening), another contract, another
output. The DynamoDB table is never touched. Pure: facts in, verdicts out; :mod:`ddb_export.pipeline.retention` gathers and carries out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ddb_export.domain.evidence import ClaimKind, PublishedEntry, VerifiedEntry
from ddb_export.domain.ledger import Chain
from ddb_export.domain.lifecycle import OUT_OF_REACH
from ddb_export.domain.planning_rules import RAW, outputs_of
from ddb_export.domain.shown import shown_entries
from ddb_export.domain.utc import iso, parse_utc

TIER_TAG = "ddb_export:tier"
"""The object tag that the bucket's lifecycle rule looks for; its value is the storage class."""


class Fate(StrEnum):
    """What becomes of a raw export's data files."""

    DELETE = "delete"
    TIER = "tier"
    STAY = "stay"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long raw data files are kept, and how; the default keeps everything as it is.

    :param keep: how long after its verification an export's data files stay at least; None for good.
    :param tier_after: how long after it they move to ``storage_class``; None for never. Whole days.
    :param object_tags: tags of the data files, beside those that the objects have.
    """

    keep: timedelta | None = None
    tier_after: timedelta | None = None
    storage_class: str | None = None
    object_tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Removal:
    """What the ledger says of raw data that was removed; it is written before the first file goes.

    :param export: name of the attempt. :param files: data files of it; ``data_bytes`` their size.
    :param removed_at: when it was decided. :param reason: why they could go, in words.
    :param level: how far the export had been verified. :param successors: the attempts that took its place, if they are why it could go.
    """

    export: str
    export_arn: str
    files: int
    data_bytes: int
    level: str
    reason: str
    removed_at: datetime
    successors: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What to say where somebody looks for the files."""
        return f"its raw data was removed by retention on {iso(self.removed_at)}; what was published of it stays"

    def to_json(self) -> dict[str, Any]:
        """Return the object that :meth:`from_json` reads."""
        return {**asdict(self), "removed_at": iso(self.removed_at), "successors": list(self.successors)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Removal:
        """Read what :meth:`to_json` wrote; keys of newer versions are passed over."""
        return cls(
            document["export"],
            document["export_arn"],
            int(document["files"]),
            int(document["data_bytes"]),
            document["level"],
            document["reason"],
            parse_utc(document["removed_at"]),
            tuple(document.get("successors", ())),
        )


@dataclass(frozen=True, slots=True)
class RetentionFacts:
    """What verdicts follow from.

    :param chain: all claims and all evidence. :param published: all evidence of publication, of every output.
    :param outputs: outputs that the configuration asks for.
    :param widening: number of a widening that is under way, None if there is none.
    :param removing: removals that were begun; ``removed`` names those that have ended.
    :param tagged: (name of the attempt, :func:`tags_digest`) of what was tagged before.
    :param left: names of attempts that can never be verified any more.
    """

    chain: Chain
    published: Sequence[PublishedEntry]
    outputs: Sequence[str]
    widening: int | None = None
    removing: Mapping[str, Removal] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    tagged: frozenset[tuple[str, str]] = frozenset()
    left: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one verified export's data files, and why.

    :param tags: tags that the files should have and were not given yet; empty where there is nothing to do.
    :param successors: the attempts that took its place.
    """

    entry: VerifiedEntry
    fate: Fate
    reason: str
    tags: Mapping[str, str] = field(default_factory=dict)
    successors: tuple[str, ...] = ()

    @property
    def export(self) -> str:
        """Name of the attempt."""
        return self.entry.export

    def to_json(self) -> dict[str, Any]:
        """Return a flat object."""
        return {
            "export": self.export,
            "fate": str(self.fate),
            "reason": self.reason,
            "files": self.entry.files,
            "bytes": self.entry.bytes_read,
            "tags": dict(self.tags),
        }


NotRebuildable = Callable[[VerifiedEntry], str | None]
"""Says why what was published of an export does not stand for its raw data; None if it does. Asked for candidates only, or for what took
their place."""


def judge(
    facts: RetentionFacts, retention: Retention, now: datetime, not_rebuildable: NotRebuildable
) -> tuple[Verdict, ...]:
    """Judge every verified export, in order of their names.

    :param now: the present, UTC. :param not_rebuildable: see there.
    """
    judges = {entry.table_id: _Judge.of(facts, entry.table_id) for entry in facts.chain.verified.values()}
    entries = sorted(facts.chain.verified.values(), key=lambda entry: entry.export)
    return tuple(judges[entry.table_id].verdict(entry, retention, now, not_rebuildable) for entry in entries)


def judge_one(
    facts: RetentionFacts, export: str, retention: Retention, now: datetime, not_rebuildable: NotRebuildable
) -> Verdict:
    """Judge one verified export, as :func:`judge` does.

    :param export: name of the attempt.
    """
    entry = facts.chain.verified[export]
    return _Judge.of(facts, entry.table_id).verdict(entry, retention, now, not_rebuildable)


@dataclass(frozen=True)
class _Judge:
    """Judges the exports of one table: one that was made again has a TableId and subjects of its own.

    :param chain: what the ledger holds about this table only. :param live: whether it is the table of the live chain.
    :param shown: (output, name of the attempt) of what readers see.
    """

    facts: RetentionFacts
    chain: Chain
    live: bool
    shown: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, facts: RetentionFacts, table_id: str) -> _Judge:
        claims = tuple(claim for claim in facts.chain.claims if claim.table_id == table_id)
        verified = {name: entry for name, entry in facts.chain.verified.items() if entry.table_id == table_id}
        shown = frozenset((entry.output, entry.export) for entry in shown_entries(facts.chain, facts.published))
        live = table_id == facts.chain.table_id
        return cls(facts, replace(facts.chain, claims=claims, verified=verified), live, shown)

    def verdict(
        self, entry: VerifiedEntry, retention: Retention, now: datetime, not_rebuildable: NotRebuildable
    ) -> Verdict:
        if removal := self.facts.removing.get(entry.export):
            if entry.export in self.facts.removed:
                return Verdict(entry, Fate.GONE, f"removed by retention on {iso(removal.removed_at)}")
            return Verdict(entry, Fate.DELETE, f"its removal began on {iso(removal.removed_at)} and has not ended")
        age = now - entry.verified_at
        stays = self._kept_by_time(age, retention) or self._needed(entry)
        if stays is None:
            stays = self._only_in_raw(entry, not_rebuildable)
        if stays is None:
            successors = tuple(each.export for each in self._successors(entry))
            return Verdict(entry, Fate.DELETE, self._free(entry, successors), successors=successors)
        return self._kept(entry, age, retention, stays)

    @staticmethod
    def _kept_by_time(age: timedelta, retention: Retention) -> str | None:
        if retention.keep is None:
            return "retention.raw.keep is not set: it is kept for good"
        return f"verified less than {_days(retention.keep)} ago" if age < retention.keep else None

    def _kept(self, entry: VerifiedEntry, age: timedelta, retention: Retention, stays: str) -> Verdict:
        tags = dict(retention.object_tags)
        due = retention.tier_after is not None and age >= retention.tier_after
        hindrance = self._untierable(entry, retention) if due else None
        if due and hindrance is None:
            tags[TIER_TAG] = str(retention.storage_class)
        known = (entry.export, tags_digest(tags)) in self.facts.tagged
        missing = {} if known or not tags else tags
        if TIER_TAG in missing:
            reason = f"verified {_days(age)} ago, published; to {retention.storage_class}"
            return Verdict(entry, Fate.TIER, reason, missing)
        return Verdict(entry, Fate.STAY, hindrance or stays, missing)

    def _needed(self, entry: VerifiedEntry) -> str | None:
        """Say why the data files are still needed, None if they are not."""
        return self._unpublished(entry) or self._used(entry) or self._base(entry)

    def _untierable(self, entry: VerifiedEntry, retention: Retention) -> str | None:
        """Say why the files must stay where they can be read at once; nothing may be needed of them soon."""
        unpublished = self._unpublished(entry)
        return unpublished or (self._used(entry) if retention.storage_class in OUT_OF_REACH else None)

    def _unpublished(self, entry: VerifiedEntry) -> str | None:
        newest = self.chain.newest_attempts.get(entry.subject)
        best = self.chain.verified_subjects.get(entry.subject)
        if newest and best and newest.attempt > best.attempt and newest.export not in self.facts.left:
            return f"attempt {newest.attempt} is claimed and not verified yet"
        for each in self._successors(entry) or (entry,):
            typed = [output for output in outputs_of(each.kind, self.facts.outputs) if output != RAW]
            if not typed:
                return "no typed output is made of it: it is the only copy"
            missing = [output for output in typed if not self.chain.is_published(each, output)]
            if missing:
                return f"{' and '.join(missing)} of {each.export} {'is' if len(missing) == 1 else 'are'} not published"
        return None

    def _only_in_raw(self, entry: VerifiedEntry, not_rebuildable: NotRebuildable) -> str | None:
        """Say why nothing else holds what the data files hold, None if something does."""
        successors = self._successors(entry)
        if not successors:
            return not_rebuildable(entry)
        asked = self._asked_for(entry.export)
        for each in successors:
            if asked is None or self._asked_for(each.export) != asked:
                return f"{each.export}, which took its place, has another view or filter: raw alone has the rest"
            if reason := not_rebuildable(each):
                return f"{each.export} took its place, and {reason}"
        return None

    def _asked_for(self, export: str) -> tuple[object, object] | None:
        """Return what of the table an attempt was to hold: view and filter of its claim; None if there is no claim."""
        claimed = next((claim for claim in self.chain.claims if claim.export == export), None)
        return (claimed.request.view, claimed.request.export_filter) if claimed else None

    def _used(self, entry: VerifiedEntry) -> str | None:
        if (RAW, entry.export) in self.shown or RAW in self.facts.outputs:
            return "the raw table shows these very files"
        if self.facts.widening is not None:
            return f"widening {self.facts.widening} is under way and reads raw files"
        return None

    def _base(self, entry: VerifiedEntry) -> str | None:
        if not self.live or entry.kind is ClaimKind.WINDOW:
            return None
        if self.chain.base is None:
            return "the base of the live chain is not verified yet"
        is_base = entry.subject == self.chain.base.subject
        return "it is the base of the live chain" if is_base else None

    def _successors(self, entry: VerifiedEntry) -> tuple[VerifiedEntry, ...]:
        """Return what has taken its place: a later attempt, or the windows that hold it; nothing if it stands."""
        best = self.chain.verified_subjects.get(entry.subject, entry)
        if entry.subject in self.chain.superseded:
            windows = [
                self.chain.verified_subjects[claim.subject]
                for claim in self.chain.newest_attempts.values()
                if entry.subject in claim.supersedes and claim.subject in self.chain.verified_subjects
            ]
            return tuple(windows)
        return (best,) if best.attempt > entry.attempt else ()

    def _free(self, entry: VerifiedEntry, successors: Sequence[str]) -> str:
        if successors:
            return f"{', '.join(successors)} took its place and {'is' if len(successors) == 1 else 'are'} published"
        outputs = outputs_of(entry.kind, self.facts.outputs)
        return f"its {' and '.join(outputs)} are published, whole and exact"


def tags_digest(tags: Mapping[str, str]) -> str:
    """Return 16 hexadecimal digits that stand for a set of tags."""
    return hashlib.sha256(json.dumps(sorted(tags.items())).encode()).hexdigest()[:16]


def lifecycle_rule(bucket_folder: str, retention: Retention) -> dict[str, Any] | None:
    """Return the rule of the bucket that moves tagged data files; None if nothing is to be moved.

    It is about tagged objects below ``raw/`` only, so that nothing of the ledger and no manifest can ever fall under it.

    :param bucket_folder: key prefix of the table's folder, without a final slash.
    """
    if retention.tier_after is None or retention.storage_class is None:
        return None
    tag = {"Key": TIER_TAG, "Value": retention.storage_class}
    days = retention.tier_after // timedelta(days=1)
    return {
        "ID": rule_name(bucket_folder),
        "Status": "Enabled",
        "Filter": {"And": {"Prefix": f"{bucket_folder}/raw/", "Tags": [tag]}},
        "Transitions": [{"Days": days, "StorageClass": retention.storage_class}],
    }


def rule_name(bucket_folder: str) -> str:
    """Return the ID of a table's lifecycle rule; S3 allows 255 characters."""
    name = f"ddb_export raw {bucket_folder}"
    return name if len(name) <= 255 else f"ddb_export raw {hashlib.sha256(bucket_folder.encode()).hexdigest()}"


def merged_rules(
    present: Sequence[Mapping[str, Any]], bucket_folder: str, rule: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Return a bucket's rules with a table's own one set, or taken out; all others as they were.

    S3 refuses a configuration that has rules with a ``Filter`` beside rules of the old form with a bare ``Prefix``; such a prefix is
    written as a filter, which means the same.

    :param present: the rules that the bucket has. :param rule: what :func:`lifecycle_rule` returned.
    """
    others = [dict(each) for each in present if each.get("ID") != rule_name(bucket_folder)]
    own = [dict(each) for each in present if each.get("ID") == rule_name(bucket_folder)]
    if rule is None:
        return others
    if len(own) == 1 and _plain(own[0]) == dict(rule):
        return [dict(each) for each in present]
    return [*(_with_filter(each) for each in others), dict(rule)]


def _plain(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule without a size that says nothing, which a place may add."""
    chosen = rule.get("Filter", {}).get("And", {})
    joined = {name: value for name, value in chosen.items() if (name, value) != ("ObjectSizeGreaterThan", 0)}
    return {**rule, "Filter": {"And": joined}} if chosen else rule


def _with_filter(rule: dict[str, Any]) -> dict[str, Any]:
    if "Filter" in rule or "Prefix" not in rule:
        return rule
    bare = {name: value for name, value in rule.items() if name != "Prefix"}
    return {**bare, "Filter": {"Prefix": rule["Prefix"]}}


def _days(length: timedelta) -> str:
    days = length // timedelta(days=1)
    return f"{days} day{'s' * (days != 1)}"
