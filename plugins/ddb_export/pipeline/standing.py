"""Whether a next attempt that recovery has passed came to nothing, so that the verified one before it stands.

The rule is in :mod:`ddb_export.domain.standing`; here DynamoDB, and what verification left, are asked about each such claim.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ddb_export.domain.evidence import ClaimKind
from ddb_export.domain.export import ExportStatus
from ddb_export.domain.standing import is_of_closed_chain, replaceable, verified_attempt
from ddb_export.domain.utc import iso
from ddb_export.exceptions import PlanError, VerificationError

if TYPE_CHECKING:
    from ddb_export.domain.evidence import VerifiedEntry
    from ddb_export.domain.ledger import Chain, Claim
    from ddb_export.pipeline.exports import Exports
    from ddb_export.pipeline.ledger import Ledger


_DAMAGED = "its export is damaged; should its files be restored, clear the verify task of the run that asked for it"
_LEFT = "left/"
_LATEST_START = timedelta(days=1)
"""How long after recovery has passed a window an export of it may still come to light that was asked for before."""


@dataclass(frozen=True, slots=True)
class LeftAttempt:
    """A claim that will never be verified and need not be.

    :param words: why, and what stands in its place. :param may_be_noted: nothing can change it any more, and no note says so yet.
    """

    claim: Claim
    words: str
    may_be_noted: bool


def came_to_nothing(
    exports: Exports, ledger: Ledger, chain: Chain, earliest: datetime | None, subjects: Collection[str] | None = None
) -> tuple[LeftAttempt, ...]:
    """Return the claims that will never be verified and need not be.

    One listing for each claim in question that is not noted, of which there are none on most chains.

    :param earliest: where point-in-time recovery begins, None while it is off. :param subjects: look at these only; None for all.
    """
    asked = [claim for claim in replaceable(chain, earliest) if subjects is None or claim.subject in subjects]
    noted = ledger.note_names(_LEFT) if asked else frozenset()
    found = []
    for claim in asked:
        if claim.export in noted:
            found.append(
                LeftAttempt(claim, _in_words(chain, claim, "no export of it can be verified"), may_be_noted=False)
            )
        elif why := _why(exports, ledger, claim):
            is_final = why != _DAMAGED and _is_long_passed(claim, earliest)
            found.append(LeftAttempt(claim, _in_words(chain, claim, why), is_final))
    return tuple(found)


def words_of_left(left: Iterable[LeftAttempt]) -> Mapping[str, str]:
    """Return the subjects of what is left, each with why, in words."""
    return {each.claim.subject: each.words for each in left}


def note_left(ledger: Ledger, left: Iterable[LeftAttempt]) -> None:
    """Leave a note of what is left for good, so that nobody looks for it again and the raw files of what stands may go."""
    for each in left:
        if each.may_be_noted:
            ledger.write_note(f"{_LEFT}{each.claim.export}.json", {"export": each.claim.export, "cause": each.words})


def noted_as_left(ledger: Ledger) -> frozenset[str]:
    """Return the names of the attempts that :func:`note_left` left a note of."""
    return ledger.note_names(_LEFT)


def _is_long_passed(claim: Claim, earliest: datetime | None) -> bool:
    return claim.window is not None and earliest is not None and claim.window.start + _LATEST_START < earliest


def standing_entry(exports: Exports, ledger: Ledger, claim: Claim, earliest: datetime | None) -> VerifiedEntry | None:
    """Return the evidence of the verified attempt that stands, as the next one came to nothing; None if the claim is to be gone on with.

    :param claim: the newest attempt, not verified. :param earliest: where point-in-time recovery begins, None while it is off.
    """
    if claim.attempt == 1 or claim.window is None or earliest is None or claim.window.start >= earliest:
        return None
    chain = ledger.read()
    if not came_to_nothing(exports, ledger, chain, earliest, {claim.subject}):
        return None
    return next(iter(ledger.verified_of(chain, [claim.export])), None)


def require_open_chain(exports: Exports, ledger: Ledger, claim: Claim) -> None:
    """Refuse to begin the base of a chain that has been closed since: nothing would follow on it, and it would be billed whole.

    :param claim: not verified. What exists of it is gone on with.
    :raises PlanError: it was never exported.
    """
    if claim.kind is not ClaimKind.BASE:
        return
    chain = ledger.read()
    current = chain.base_claim
    if current is None or not is_of_closed_chain(chain, claim):
        return
    description = exports.find(claim)
    if description is None or description.status is ExportStatus.FAILED:
        raise PlanError(
            f"base {claim.export} of {claim.request.table_arn}",
            f"no export of it exists, and its chain {claim.chain} was closed by {current.export}, which begins chain {current.chain}",
            "nothing is missing without it; for one more full export trigger the DAG by hand with full_export: true",
        )


@contextmanager
def noting_damage(ledger: Ledger, claim: Claim, now: datetime) -> Iterator[None]:
    """Leave a note in the ledger where the verification inside the context finds an attempt's export not whole.

    :param now: by AWS's clock. :raises VerificationError: what was raised inside.
    """
    try:
        yield
    except VerificationError as error:
        found = {"export": claim.export, "cause": error.cause, "found_at": iso(now)}
        ledger.write_note(_damaged_path(claim.export), found)
        raise


def _damaged_path(export: str) -> str:
    return f"damaged/{export}.json"


def _why(exports: Exports, ledger: Ledger, claim: Claim) -> str | None:
    description = exports.find_in_prefix(claim)
    if description is None:
        return "no export of it exists"
    if description.status is ExportStatus.FAILED:
        return "its export FAILED"
    if description.status is ExportStatus.COMPLETED and ledger.read_note(_damaged_path(claim.export)):
        return _DAMAGED
    return None


def _in_words(chain: Chain, claim: Claim, why: str) -> str:
    attempt = verified_attempt(chain, claim.subject)
    stands = f"attempt {attempt} of it stands" if attempt else "other verified windows cover it"
    return f"attempt {claim.attempt} at {claim.window} is left: recovery has passed it, and {why}; {stands}"
