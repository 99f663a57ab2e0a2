"""Which verified windows stand, although something newer was claimed in their place and came to nothing.

A person may have a window exported again, or a window may be claimed together with the hole beside it. While point-in-time recovery
reaches it, every run goes on with such a claim until it is verified. Once recovery has passed it, and no export of it can be verified, nobody
can; what is verified of the same stretch stays what readers see, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ddb_export.domain.evidence import Claim, ClaimKind
from ddb_export.domain.ledger import Chain
from ddb_export.domain.plan import Action, Plan


def replaceable(chain: Chain, earliest: datetime | None) -> tuple[Claim, ...]:
    """Return the windows that are claimed and not verified, that recovery has passed, and that verified windows cover wholly.

    :param chain: the ledger as it is now. :param earliest: where recovery begins; None while it is off, when nothing is known to be passed.
    """
    if earliest is None:
        return ()
    return tuple(
        claim
        for claim in chain.pending_claims
        if claim.window
        and claim.window.start < earliest
        and claim.attempt > verified_attempt(chain, claim.subject)
        and any(stretch.contains(claim.window) for stretch in chain.verified_stretches)
    )


def verified_attempt(chain: Chain, subject: str) -> int:
    """Return the number of the highest verified attempt at a window; 0 if none is verified."""
    settled = chain.settled_window(subject, chain.table_id or "")
    entry = chain.verified_subjects.get(subject)
    return max(settled.attempt if settled else 0, entry.attempt if entry else 0)


def rebuilding_what_stands(kept: Plan, chain: Chain, left: Mapping[str, str]) -> Plan:
    """Return a plan that was made before windows of it were left: of these the verified attempt is rebuilt, or nothing where others cover it.

    What a person asked the run to export again stays as it was asked: an earlier attempt is no answer.

    :param left: subjects of windows of which the newest claim came to nothing.
    """
    windows = []
    for planned in kept.windows:
        if planned.attempt is not None or planned.subject not in left:
            windows.append(planned)
        elif attempt := verified_attempt(chain, planned.subject):
            windows.append(replace(planned, action=Action.REBUILD, attempt=attempt))
    return replace(kept, windows=tuple(windows))


def left_in_words(left: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is left as one line at most, however much it is.

    :param left: subjects of windows of which the newest claim came to nothing, with why, in words.
    """
    subjects = sorted(left)
    if len(subjects) < 2:
        return tuple(left.values())
    many = f"{len(subjects)} next attempts are left, from {subjects[0]} to {subjects[-1]}"
    return (f"{many}: {left[subjects[0]]}",)


def awaited(chain: Chain, earliest: datetime | None) -> tuple[Claim, ...]:
    """Return the claims that are not verified and that somebody needs.

    Nobody needs the base of a chain that another one has closed, nor a window of such a chain that lies before the new base, nor what
    :func:`replaceable` names.

    :param earliest: where recovery begins; None while it is off or was not asked after.
    """
    needless = {claim.sequence for claim in replaceable(chain, earliest)}
    return tuple(
        claim
        for claim in chain.pending_claims
        if claim.sequence not in needless
        and claim.attempt > verified_attempt(chain, claim.subject)
        and not is_of_closed_chain(chain, claim)
    )


def is_of_closed_chain(chain: Chain, claim: Claim) -> bool:
    """Tell whether a later chain has made a claim needless: the base of an earlier one, or a window of it before the new base."""
    base = chain.base_claim
    if base is None or claim.chain >= base.chain or claim.kind is ClaimKind.SNAPSHOT:
        return False
    moment = base.request.export_time
    return claim.window is None or (moment is not None and claim.window.end <= moment)


def is_out_of_reach(claim: Claim, earliest: datetime | None) -> bool:
    """Tell whether recovery has passed a window or a snapshot, so that what was never exported of it never will be."""
    moment = claim.window.start if claim.window else claim.request.export_time
    return earliest is not None and moment is not None and moment < earliest and claim.kind is not ClaimKind.BASE
