"""Raw exports whose time is over: a plan, and on request what it says, one export after the other.

Of an export that may go, the data files are deleted that its manifest names, and nothing else: no manifest, no ledger, no output, no file
that something else put there. Before that the ledger says so, and a copy of it lies beside the manifests; so a death at any point leaves
either all files and no record, or a record with which the next call goes on. Each export is judged again just before that: others go on
claiming, publishing and widening while a plan is read. A widening looks for these records after it has begun, this looks for widenings
after it has written one: whichever of the two comes second sees the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import ObjectMissingError
from ddb_export.aws.object_lifecycle import BucketRules, ObjectLifecycle
from ddb_export.domain.contract import NO_CONTRACT, Contract
from ddb_export.domain.evidence import Claim, DeclaredTable, Owner, PublishedEntry, VerifiedEntry
from ddb_export.domain.layout import LIVE
from ddb_export.domain.manifest import ManifestFile
from ddb_export.domain.planning_rules import RAW, output_of
from ddb_export.domain.retention import (
    Fate,
    Removal,
    Retention,
    RetentionFacts,
    Verdict,
    judge,
    judge_one,
    lifecycle_rule,
    merged_rules,
)
from ddb_export.exceptions import DdbExportError, NotReachableError, PlanError, VerificationError
from ddb_export.pipeline.ledger_documents import LedgerDocuments
from ddb_export.pipeline.ledger_reading import claim_path
from ddb_export.pipeline.location import ExportLocation
from ddb_export.pipeline.rebuild import is_whole
from ddb_export.pipeline.retention_records import RetentionRecords
from ddb_export.pipeline.source import ExportManifests, finding_error, read_manifests
from ddb_export.pipeline.standing import noted_as_left
from ddb_export.pipeline.widening_records import WideningRecords

if TYPE_CHECKING:
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.layout import Lake
    from ddb_export.pipeline.ledger import Ledger

OUTPUTS = ("snapshots", "changes", RAW)
_READERS = 16
_REDACTED = "a contract dropped or hashed values when it was published: raw alone has all of them"

Step = Callable[[int, int], None]
"""Told of each export that is done with: one, and the bytes that went."""


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What retention would do.

    :param facts: what it follows from.
    :param verdicts: one for each verified export. :param others: folders of ``raw/`` that no verified export is in, and why they stay.
    :param rule: the bucket's lifecycle rule that does the tiering, as S3 takes it; None for none.
    """

    facts: RetentionFacts
    verdicts: tuple[Verdict, ...]
    others: Mapping[str, str]
    rule: Mapping[str, Any] | None

    def of(self, *fates: Fate) -> tuple[Verdict, ...]:
        """Return the verdicts of these fates."""
        return tuple(each for each in self.verdicts if each.fate in fates)

    @property
    def to_tag(self) -> tuple[Verdict, ...]:
        """The exports whose data files lack tags that they should have."""
        return tuple(each for each in self.verdicts if each.tags)


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done.

    :param deleted: exports whose data files are gone now; ``tagged`` those whose files were tagged.
    :param failed: exports that it ended early for, and the error; whatever is left of them the next call does.
    """

    deleted: tuple[str, ...] = ()
    tagged: tuple[str, ...] = ()
    failed: Mapping[str, DdbExportError] = field(default_factory=dict)


class RawRetention:
    """The retention of one table's raw exports.

    :param ledger: its ledger. :param lifecycle: the bucket of its lake. :param retention: what is configured.
    :param outputs: outputs that are configured. :param contract: what is configured about its columns.
    :param declared: which DynamoDB table is configured; None for whichever the ledger belongs to.
    """

    def __init__(
        self,
        ledger: Ledger,
        lifecycle: ObjectLifecycle,
        retention: Retention,
        outputs: Sequence[str],
        contract: Contract = NO_CONTRACT,
        *,
        declared: DeclaredTable | None = None,
    ) -> None:
        self._ledger = ledger
        self._lake: Lake = ledger.lake
        self._store: ObjectStore = ledger.store
        self._lifecycle = lifecycle
        self._retention = retention
        self._outputs = tuple(outputs)
        self._contract = contract
        self._declared = declared
        self._records = RetentionRecords(ledger.store, ledger.lake)
        self._documents = LedgerDocuments(ledger.store, ledger.lake.ledger)

    def plan(self) -> RetentionPlan:
        """Judge every export by the ledger and the published files; nothing is written.

        :raises NotReachableError: there is no ledger. :raises LedgerError: it cannot be read.
        :raises OwnershipError: it is another table's than the one that is configured.
        """
        facts = self._facts()
        if not facts.chain.claims:
            uri = self._documents.uri()
            raise NotReachableError(uri, "there is no ledger", "check the table's bucket, prefix and name")
        published = _newest(facts.published)
        now = self._ledger.store.now()
        # What the ledger alone would let go comes first, so that the published files of all of it, and of what took its place, are looked
        # at side by side.
        asked: dict[str, VerifiedEntry] = {}
        judge(facts, self._retention, now, lambda entry: asked.update({entry.export: entry}))
        with ThreadPoolExecutor(_READERS) as readers:
            answers = readers.map(lambda entry: self._not_rebuildable(entry, published), asked.values())
            known = dict(zip(asked, answers, strict=True))
        verdicts = judge(facts, self._retention, now, lambda entry: known[entry.export])
        return RetentionPlan(facts, verdicts, self._others(facts), lifecycle_rule(self._lake.root, self._retention))

    def apply(self, plan: RetentionPlan, step: Step = lambda _exports, _bytes: None) -> Applied:
        """Do what a plan says: tag what stays, delete what may go.

        An error of one export ends that export only, and so does what has happened to it since the plan was made; the same call does the
        rest another time.
        """
        done: dict[Fate, list[str]] = {Fate.TIER: [], Fate.DELETE: []}
        failed: dict[str, DdbExportError] = {}
        for verdict in plan.to_tag:
            self._try(verdict, self._tag, done[Fate.TIER], failed)
        for verdict in plan.of(Fate.DELETE):
            self._try(verdict, lambda each: self._delete(plan.facts, each), done[Fate.DELETE], failed)
            step(1, verdict.entry.bytes_read)
        return Applied(tuple(done[Fate.DELETE]), tuple(done[Fate.TIER]), failed)

    def apply_rule(self, plan: RetentionPlan) -> bool:
        """Set the table's own rule among the bucket's, or take it out; tell whether anything changed.

        All other rules stay as they are. S3 offers no condition for this write: two people who change the rules of one bucket in the
        same second may overwrite each other.
        """
        present = self._lifecycle.rules()
        wanted = merged_rules(present.rules, self._lake.root, plan.rule)
        if wanted == [dict(rule) for rule in present.rules]:
            return False
        self._lifecycle.put_rules(BucketRules(tuple(wanted), present.smallest))
        return True

    def _facts(self) -> RetentionFacts:
        chain = self._ledger.read_every_object()
        if self._declared and chain.claims:
            first = chain.claims[0]
            owner = chain.owner or Owner(first.request.table_arn, self._lake.name, first.claimed_at)
            owner.require_declared(self._declared)
        return RetentionFacts(
            chain=chain,
            published=self._ledger.published_entries(OUTPUTS),
            outputs=self._outputs,
            widening=self._widening(),
            removing=self._records.removals(),
            removed=self._records.removed(),
            tagged=self._records.tagged(),
            left=noted_as_left(self._ledger),
        )

    def _widening(self) -> int | None:
        """Return the number of a widening that is under way."""
        newest = WideningRecords(self._ledger).newest()
        return newest.number if newest and newest.ended is None else None

    def _not_rebuildable(self, entry: VerifiedEntry, published: Mapping[tuple[str, str], PublishedEntry]) -> str | None:
        """Say why the published files of an export do not stand for its raw data."""
        evidence = published.get((output_of(entry.kind), entry.export))
        if evidence is None:
            return f"{output_of(entry.kind)} of it is not published"
        if evidence.quarantined:
            lines = "1 line of it is" if evidence.quarantined == 1 else f"{evidence.quarantined} lines of it are"
            return f"{lines} in quarantine, to be mended from raw"
        path = f"{evidence.partition}/{LIVE}"
        try:
            live = json.loads(self._store.read(self._lake.key(path)).content)
            return self._redacted(evidence, live) or self._not_whole(entry, evidence, live)
        except ObjectMissingError:
            return f"{path} is gone"
        except (ValueError, KeyError, TypeError):
            return f"{path} is not what ddb_export writes"

    def _not_whole(self, entry: VerifiedEntry, evidence: PublishedEntry, live: Mapping[str, Any]) -> str | None:
        if (live["generation"], live["export_arn"]) != (evidence.generation, entry.export_arn):
            return f"{evidence.partition}/{LIVE} does not name what the ledger says is shown"
        if is_whole(self._store, self._lake, {**live, "partition": evidence.partition}, entry):
            return None
        return f"published files below {evidence.location} are missing, or do not hold every record"

    def _redacted(self, evidence: PublishedEntry, live: Mapping[str, Any]) -> str | None:
        """Say whether the published files lack what raw has: only what is known not to be redacted is taken for harmless."""
        if evidence.redaction is not None:
            return _REDACTED if evidence.redaction else None
        _, contracted, rest = str(live["converter_version"]).partition("+contract=")
        known = rest.partition("+")[0] == self._contract.fingerprint and not self._contract.redacts
        return _REDACTED if contracted and not known else None

    def _others(self, facts: RetentionFacts) -> dict[str, str]:
        """Return the folders of ``raw/`` that are no verified export's; nothing is ever done about them."""
        claimed = {claim.export for claim in facts.chain.claims}
        found = {}
        for each in self._store.list_folder(self._lake.key("raw")):
            name = each.key.rstrip("/").rsplit("/", 1)[-1]
            if name not in facts.chain.verified:
                found[name] = "claimed, but not verified" if name in claimed else "no claim of the ledger names it"
        return found

    def _try(
        self,
        verdict: Verdict,
        act: Callable[[Verdict], None],
        done: list[str],
        failed: dict[str, DdbExportError],
    ) -> None:
        try:
            act(verdict)
        except DdbExportError as error:
            failed[verdict.export] = error
        else:
            done.append(verdict.export)

    def _tag(self, verdict: Verdict) -> None:
        self._lifecycle.add_tags(self._data_keys(verdict.entry), verdict.tags)
        self._records.record_tags(verdict.export, verdict.tags, self._ledger.store.now())

    def _delete(self, facts: RetentionFacts, planned: Verdict) -> None:
        verdict = self._judged_again(facts, planned)
        entry = verdict.entry
        keys = self._data_keys(entry)
        removal = self._records.begin_removal(
            Removal(
                entry.export,
                entry.export_arn,
                len(keys),
                entry.bytes_read,
                entry.level,
                verdict.reason,
                self._ledger.store.now(),
                verdict.successors,
            )
        )
        self._require_no_widening(verdict)
        for _ in self._lifecycle.delete(keys):
            pass
        self._records.end_removal(removal)

    def _judged_again(self, facts: RetentionFacts, planned: Verdict) -> Verdict:
        """Judge one export by what is claimed, published and widened by now.

        :param facts: what the plan was made from. :raises PlanError: it may not go any more.
        """
        now = self._ledger.store.now()
        current = self._facts_since(facts, planned)
        published = _newest(current.published)
        verdict = judge_one(
            current, planned.export, self._retention, now, lambda entry: self._not_rebuildable(entry, published)
        )
        if verdict.fate is not Fate.DELETE:
            cause = f"it may not go any more: {verdict.reason}"
            raise PlanError(f"raw data of {planned.export}", cause, "plan again: ddb-export lifecycle")
        return verdict

    def _facts_since(self, facts: RetentionFacts, planned: Verdict) -> RetentionFacts:
        """Return the facts with what was claimed and widened since, and what is published by now of one export and its successors."""
        chain = facts.chain
        claimed = self._documents.paths("claims/", start_after=claim_path(chain.last_sequence))
        exports = {planned.export, *planned.successors}
        read = [self._ledger.published_entry(output, export) for output in OUTPUTS for export in sorted(exports)]
        others = [entry for entry in facts.published if entry.export not in exports]
        published = [entry for entry in read if entry]
        names = frozenset((entry.output, entry.export) for entry in published)
        return replace(
            facts,
            chain=replace(
                chain,
                claims=(*chain.claims, *self._documents.read_each(claimed, Claim.from_json)),
                published=names.union(pair for pair in chain.published if pair[1] not in exports),
            ),
            published=[*others, *published],
            widening=self._widening(),
        )

    def _require_no_widening(self, verdict: Verdict) -> None:
        """Refuse to delete while a widening reads raw files.

        :raises PlanError: one is under way.
        """
        number = self._widening()
        if number is not None:
            raise PlanError(
                f"raw data of {verdict.export}",
                f"widening {number} is under way and reads raw files",
                "end it (ddb-export widen), then call this again",
            )

    def _data_keys(self, entry: VerifiedEntry) -> list[str]:
        """Return the keys of the data files: what the manifest names below the attempt's own folder.

        :raises VerificationError: the manifest is damaged, is not the one that was verified, or names a file elsewhere.
        """
        manifests = read_manifests(self._store, ExportLocation(entry.manifest_key.rpartition("/")[0]))
        if manifests.findings:
            raise finding_error(manifests.findings)
        if manifests.summary is None or manifests.summary.export_arn != entry.export_arn:
            uri = self._store.uri(entry.manifest_key)
            raise VerificationError(
                uri, "it is not the manifest that was verified", "restore the object's older version"
            )
        return [self._data_key(manifests, file, entry) for file in manifests.files]

    def _data_key(self, manifests: ExportManifests, file: ManifestFile, entry: VerifiedEntry) -> str:
        key = manifests.data_key(file)
        if key is None or not key.startswith(f"{self._lake.raw(entry.export)}/") or "/data/" not in key:
            cause = f"its manifest names {file.key}, which does not lie below the export's own folder"
            raise VerificationError(
                f"raw data of {entry.export}", cause, "look who wrote to this folder; nothing is deleted"
            )
        return key


def _newest(entries: Sequence[PublishedEntry]) -> dict[tuple[str, str], PublishedEntry]:
    """Return the newest evidence of each output of each export."""
    ordered = sorted(entries, key=lambda each: each.order)
    return {(each.output, each.export): each for each in ordered}
