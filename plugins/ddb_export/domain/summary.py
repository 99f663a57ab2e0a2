"""A summary of a ledger: what planning needs of a long past, in one object, so that it need not read the past itself.

A summary is disposable. It says nothing that the claims and the evidence do not say, and as these are written once and never
changed, an old summary is not wrong, only shorter; deleting it changes no answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ddb_export.domain.evidence import Claim, ClaimKind, Owner, VerifiedEntry
from ddb_export.domain.ledger import Chain
from ddb_export.domain.planning_rules import outputs_of
from ddb_export.domain.settled import SettledRun, SettledWindow, settle

SUMMARY_FORMAT = 1
"""Version of the summary's form; one of another form is not used."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What :func:`summarise` makes of a chain.

    :param outputs: outputs that a settled window is published for, as far as windows have them.
    :param chain: the chain as far as it was known, without its owner.
    """

    outputs: frozenset[str]
    chain: Chain

    def serves(self, outputs: Sequence[str]) -> bool:
        """Tell whether it can stand for the ledger of someone who asks for these outputs."""
        return self.outputs.issuperset(outputs)

    @property
    def last_claim(self) -> Claim | None:
        """The newest claim that it was made from; None if it was made from none."""
        newest = (claim for claim in reversed(self.chain.claims) if claim.sequence == self.chain.settled_sequence)
        return next(newest, None)

    def of(self, owner: Owner | None) -> Chain:
        """Return the chain, with its owner."""
        known = self.chain
        return Chain(owner, known.claims, known.verified, known.published, known.settled, known.settled_sequence)

    def to_json(self) -> dict[str, Any]:
        """Return the object that :meth:`from_json` reads."""
        return {
            "format": SUMMARY_FORMAT,
            "outputs": sorted(self.outputs),
            "last_sequence": self.chain.settled_sequence,
            "settled": [run.to_json() for run in self.chain.settled],
            "claims": [claim.to_json() for claim in self.chain.claims],
            "verified": [entry.to_json() for entry in self.chain.verified.values()],
            "published": sorted([output, export] for output, export in self.chain.published),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Summary:
        """Read what :meth:`to_json` wrote.

        :raises ValueError: it has another form. :raises KeyError: a part is missing. :raises TypeError: it is no such object.
        """
        if document["format"] != SUMMARY_FORMAT:
            raise ValueError(f"it has format {document['format']}, this version of ddb_export knows {SUMMARY_FORMAT}")
        verified = [VerifiedEntry.from_json(entry) for entry in document["verified"]]
        chain = Chain(
            claims=tuple(Claim.from_json(claim) for claim in document["claims"]),
            verified={entry.export: entry for entry in verified},
            published=frozenset((output, export) for output, export in document["published"]),
            settled=tuple(SettledRun.from_json(run) for run in document["settled"]),
            settled_sequence=int(document["last_sequence"]),
        )
        return cls(frozenset(document["outputs"]), chain)


def summarise(chain: Chain, outputs: Sequence[str]) -> Summary:
    """Fold what is settled; keep everything else as it is.

    Windows that take others' places, and these others, are kept whole: they are rare, and which of them counts follows from
    their claims. The newest claim is kept too: a reader sees by it whether the summary speaks of this ledger.

    :param outputs: outputs that the configuration asks for.
    """
    asked = frozenset(outputs)
    replacing = {
        subject for claim in chain.claims for subject in (*claim.supersedes, claim.subject if claim.supersedes else "")
    }
    best: dict[tuple[str, str], VerifiedEntry] = {}
    for entry in chain.verified.values():
        key = (entry.table_id, entry.subject)
        if key not in best or entry.attempt > best[key].attempt:
            best[key] = entry
    newest = {(claim.table_id, claim.subject): claim for claim in chain.claims}
    folded = {
        key: claim
        for key, claim in newest.items()
        if claim.kind is ClaimKind.WINDOW
        and claim.subject not in replacing
        and claim.sequence != chain.last_sequence
        and _is_settled(chain, best.get(key), claim, asked)
    }
    gone = {entry.export for key, entry in best.items() if key in folded}
    windows = [
        SettledWindow(claim.table_id, claim.chain, claim.attempt, claim.sequence, claim.window)
        for claim in folded.values()
        if claim.window
    ]
    return Summary(
        asked,
        Chain(
            claims=tuple(claim for claim in chain.claims if (claim.table_id, claim.subject) not in folded),
            verified={
                name: entry for name, entry in chain.verified.items() if (entry.table_id, entry.subject) not in folded
            },
            published=frozenset(each for each in chain.published if each[1] not in gone),
            settled=settle(chain.settled, windows),
            settled_sequence=chain.last_sequence,
        ),
    )


def _is_settled(chain: Chain, entry: VerifiedEntry | None, claim: Claim, outputs: frozenset[str]) -> bool:
    if entry is None or entry.attempt != claim.attempt:
        return False
    return all(chain.is_published(entry, output) for output in outputs_of(claim.kind, outputs))
