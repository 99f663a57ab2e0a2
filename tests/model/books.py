"""The ledger read by other eyes: its JSON objects alone, without the provider's code, compared with what really happened.

Head, overlaps and the bill are computed anew here, as simply as the rules say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ddb_export.domain.window import Stretch
from tests.model.readers import promise
from tests.model.runs import ROOT
from tests.model.world import Export, World


@dataclass(frozen=True)
class Entry:
    """A claim as its object says.

    :param subject: what is claimed, whichever the attempt.
    """

    document: dict[str, Any]

    @property
    def export(self) -> str:
        return str(self.document["export"])

    @property
    def subject(self) -> str:
        return self.export.rsplit("-a", 1)[0]

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def table_id(self) -> str:
        return str(self.document["table_id"])

    @property
    def chain(self) -> int:
        return int(self.document["chain"])

    @property
    def sequence(self) -> int:
        return int(self.document["sequence"])

    @property
    def supersedes(self) -> tuple[str, ...]:
        return tuple(self.document.get("supersedes", ()))

    @property
    def took_over(self) -> bool:
        return "took_over" in self.document

    @property
    def window(self) -> tuple[datetime, datetime] | None:
        request = self.document["request"]
        if not request.get("start"):
            return None
        return datetime.fromisoformat(request["start"]), datetime.fromisoformat(request["end"])

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.document["request"]["export_time"])


@dataclass
class Books:
    """The ledger's objects, parsed anew when they have changed.

    :param asked_again: stretches whose windows persons asked to export again. :param wishes: how many bases and snapshots
        beside the first persons (or the policy ``new_base``) may have asked for.
    """

    world: World
    asked_again: list[Stretch] = field(default_factory=list)
    wishes: dict[str, int] = field(default_factory=lambda: {"base": 0, "snapshot": 0})
    _parsed: dict[str, dict[str, Any]] = field(default_factory=dict)

    def _objects(self, folder: str) -> list[dict[str, Any]]:
        prefix = f"{ROOT}/ledger/{folder}/"
        for each in self.world.bucket.listing(prefix):
            if each.key not in self._parsed:
                self._parsed[each.key] = json.loads(self.world.bucket.objects[each.key].content)
        return [self._parsed[each.key] for each in self.world.bucket.listing(prefix)]

    def claims(self) -> list[Entry]:
        """Return all claims, in order."""
        return [Entry(document) for document in self._objects("claims")]

    def verified(self) -> list[dict[str, Any]]:
        """Return all verified entries."""
        return self._objects("verified")

    def base(self) -> Entry | None:
        """Return the newest claim of the newest chain's base."""
        bases = [claim for claim in self.claims() if claim.kind == "base"]
        return max(bases, key=lambda claim: (claim.chain, claim.sequence), default=None)

    def head(self) -> datetime | None:
        """Return how far the data is complete, minute by minute so to say: the greatest moment reached from the base."""
        base = self.base()
        if base is None:
            return None
        verified = [each for each in self.verified() if each["table_id"] == base.table_id]
        if not any(each["export"].rsplit("-a", 1)[0] == base.subject for each in verified):
            return None
        head, of_base = base.moment, base.document["request"].get("filter")
        windows = [
            (datetime.fromisoformat(each["start"]), datetime.fromisoformat(each["end"]))
            for each in verified
            if each["start"] and self._filter_of(each["export"]) == of_base
        ]
        while True:
            reach = max((end for start, end in windows if start <= head < end), default=None)
            if reach is None:
                return head
            head = reach

    def _filter_of(self, export: str) -> Any:
        """Return what a claim asked to be exported."""
        return next(claim.document["request"].get("filter") for claim in self.claims() if claim.export == export)

    def unverified(self, exports: Iterable[str]) -> list[str]:
        """Return those of these attempts of which neither they nor later ones are verified, and that no other window replaces."""
        base, verified = self.base(), self.verified()
        table_id = base.table_id if base else None
        newest: dict[str, int] = {}
        for each in verified:
            if each["table_id"] == table_id:
                subject, attempt = each["export"].rsplit("-a", 1)
                newest[subject] = max(newest.get(subject, 0), int(attempt))
        replaced = {subject for claim in self.claims() if claim.subject in newest for subject in claim.supersedes}
        named = [(export, *export.rsplit("-a", 1)) for export in exports]
        return [
            export
            for export, subject, attempt in named
            if subject not in replaced and newest.get(subject, 0) < int(attempt)
        ]

    def check(self) -> None:
        """Check claims, evidence and bill.

        :raises BrokenPromiseError: one of them breaks a promise.
        """
        claims = self.claims()
        promise(
            [claim.sequence for claim in claims] == list(range(1, len(claims) + 1)), "claims are not numbered 1, 2, …"
        )
        self._check_overlaps(claims)
        self._check_evidence(claims)
        self._check_bill(claims)

    def _check_overlaps(self, claims: list[Entry]) -> None:
        by_subject = {(claim.table_id, claim.subject): claim for claim in claims if claim.window}
        windows = sorted(by_subject.values(), key=lambda claim: claim.window or ())
        for position, one in enumerate(windows):
            for other in windows[position + 1 :]:
                assert one.window
                assert other.window
                if other.window[0] >= one.window[1]:
                    break
                replaced = one.subject in other.supersedes or other.subject in one.supersedes
                promise(
                    one.table_id != other.table_id or replaced,
                    f"claims {one.sequence} {one.subject} and {other.sequence} {other.subject} overlap",
                )

    def _check_evidence(self, claims: list[Entry]) -> None:
        by_name = {(claim.export, claim.table_id): claim for claim in claims}
        for entry in self.verified():
            claim = by_name.get((entry["export"], entry["table_id"]))
            promise(claim, "verified entry", entry["export"], "has no claim")
            assert claim is not None
            export = self.world.export_of(entry["export_arn"])
            promise(export and export.status == "COMPLETED", "verified", entry["export"], "is not COMPLETED")
            assert export is not None
            promise(not export.damaged, "verified", entry["export"], "is damaged")
            promise(export.is_complete, "verified", entry["export"], "was asked for before it had settled")
            promise(export.table.table_id == claim.table_id, "verified", entry["export"], "is of another table")
            same = export.window == claim.window and (claim.window or export.moment == claim.moment)
            promise(same, "verified", entry["export"], "covers other times than its claim")

    def _check_bill(self, claims: list[Entry]) -> None:
        by_prefix = {claim.document["request"]["s3_prefix"]: claim for claim in claims}
        paid: dict[str, list[Export]] = {}
        for export in self.world.exports:
            if export.by_hand:
                continue
            promise(export.prefix in by_prefix, "export to", export.prefix, "was started without a claim")
            if export.status != "FAILED":
                paid.setdefault(export.prefix, []).append(export)
        for prefix, exports in paid.items():
            promise(len(exports) == 1, len(exports), "exports are billed for", prefix)
        subjects: dict[tuple[str, str], int] = {}
        for prefix in paid:
            claim = by_prefix[prefix]
            subjects[claim.table_id, claim.subject] = subjects.get((claim.table_id, claim.subject), 0) + 1
        windows = {claim.subject: Stretch(*claim.window) for claim in claims if claim.window}
        for (_, subject), count in subjects.items():
            window = windows.get(subject)
            allowed = 1 + sum(each.contains(window) for each in self.asked_again if window)
            promise(count <= allowed, subject, "is billed", count, "times;", allowed, "were asked for")
        self._check_full_exports(claims)

    def _check_full_exports(self, claims: list[Entry]) -> None:
        for kind, free in (("base", 1), ("snapshot", 0)):
            subjects = {
                (claim.table_id, claim.chain, claim.subject)
                for claim in claims
                if claim.kind == kind and not claim.took_over
            }
            allowed = free + self.wishes[kind]
            promise(len(subjects) <= allowed, len(subjects), f"claims of kind {kind};", allowed, "were asked for")
