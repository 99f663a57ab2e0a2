"""Whether a next attempt that recovery has passed came to nothing, so that the verified one before it stands.

The rule is in :mod:`ddb_export.domain.standing`; here DynamoDB, and what verification left, are asked about each such claim.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
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


def came_to_nothing(exports: Exports, ledger: Ledger, chain: Chain, earliest: datetime | None) -> Mapping[str, str]:
    """Return the subjects of claims that will never be verified and need not be, each with why, in words.

    One listing for each claim in question, of which there are none on most chains.

    :param earliest: where point-in-time recovery begins, None while it is off.
    """
    reasons = {claim: _why(exports, ledger, claim) for claim in replaceable(chain, earliest)}
    return {claim.subject: _in_words(chain, claim, why) for claim, why in reasons.items() if why}


def standing_entry(exports: Exports, ledger: Ledger, claim: Claim, earliest: datetime | None) -> VerifiedEntry | None:
    """Return the evidence of the verified attempt that stands, as the next one came to nothing; None if the claim is to be gone on with.

    :param claim: the newest attempt, not verified. :param earliest: where point-in-time recovery begins, None while it is off.
    """
    if claim.attempt == 1 or claim.window is None or earliest is None or claim.window.start >= earliest:
        return None
    chain = ledger.read()
    if claim.subject not in came_to_nothing(exports, ledger, chain, earliest):
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
        return "its export is damaged; should its files be restored, clear the verify task of the run that asked for it"
    return None


def _in_words(chain: Chain, claim: Claim, why: str) -> str:
    attempt = verified_attempt(chain, claim.subject)
    stands = f"attempt {attempt} of it stands" if attempt else "other verified windows cover it"
    return f"attempt {claim.attempt} at {claim.window} is left: recovery has passed it, and {why}; {stands}"
