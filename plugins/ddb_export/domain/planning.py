"""What a run has to do, decided from the ledger, the table's recovery window and what the run asks.

One rule heals everything: a run takes whatever is not verified, and whatever is verified but not published, between the base
and its own end. Failed windows, outages, pauses and crashes between the ledger and Glue need no rule of their own. Every
decision carries its reason in words, for the log and for dry runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from ddb_export.domain.export_filter import NO_REPLICA, words_of
from ddb_export.domain.ledger import Chain, Claim, ClaimKind, KnownWindow
from ddb_export.domain.plan import (
    Action,
    ChainEnd,
    Plan,
    PlannedExport,
    PlanRequest,
    PointInTimeRecovery,
    RunKind,
    TableIdentity,
)
from ddb_export.domain.planning_rules import (
    MOST_WINDOWS,
    NEW_BASE_REMEDY,
    Boundaries,
    Rules,
    of_claim,
    output_of,
    outputs_of,
)
from ddb_export.domain.standing import left_in_words, verified_attempt
from ddb_export.domain.utc import ceil_minute, iso
from ddb_export.domain.window import LONGEST, Stretch, subtract
from ddb_export.exceptions import PlanError, PointInTimeRecoveryError, TableIdentityError

__all__ = [
    "MOST_WINDOWS",
    "Action",
    "Boundaries",
    "ChainEnd",
    "Plan",
    "PlanRequest",
    "PlannedExport",
    "PointInTimeRecovery",
    "RunKind",
    "TableIdentity",
    "output_of",
    "outputs_of",
    "plan",
]


def plan(
    chain: Chain,
    request: PlanRequest,
    identity: TableIdentity,
    recovery: PointInTimeRecovery,
    boundaries: Boundaries,
    *,
    lost: frozenset[str] = frozenset(),
    ended: frozenset[str] = frozenset(),
    base_began: bool = True,
    left: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Decide what a run does.

    :param chain: the ledger as it is now.
    :param request: what the run asks.
    :param identity: the table as it is now.
    :param recovery: its recovery window as it is now.
    :param boundaries: the schedule's boundaries.
    :param lost: subjects of claims that have no export, and that recovery no longer reaches, so that they never will.
    :param ended: subjects of claims whose export is COMPLETED and yet not verified; only ``re_export`` asks.
    :param base_began: False where the base that is claimed has no export that runs or is COMPLETED; only filtered chains ask.
    :param left: subjects of windows of which the newest claim came to nothing and need not be gone on with, with why.
    :raises PointInTimeRecoveryError: recovery is off, or no longer reaches what has to be exported.
    :raises TableIdentityError: the table was made again since the chain began.
    :raises PlanError: what the run asks cannot be planned.
    """
    _require_one_wish(request)
    made = _planned(Rules(chain, request, identity, recovery, boundaries, lost, ended, base_began, left))
    made = replace(made, notes=(*made.notes, *left_in_words(left)))
    if request.export_filter is None:
        return made
    return replace(made, notes=(*made.notes, f"filtered: {request.export_filter}; {NO_REPLICA}"))


def _planned(rules: Rules) -> Plan:
    request, claim = rules.request, rules.chain.base_claim
    if request.new_base or claim is None:
        return _first_base(rules)
    if not _goes_on(rules, claim) and (rebuilding := _rebuild_alone(rules)):
        return rebuilding
    if claim.table_id != rules.identity.table_id:
        return _other_table(rules, claim)
    if claim.subject in rules.lost:
        return _lost_base(rules, claim)
    if rules.filter_changed:
        return _other_filter(rules, claim)
    return _on_chain(rules, claim)


def _goes_on(rules: Rules, claim: Claim) -> bool:
    """Tell whether anything can follow on the chain's base, as far as is known."""
    is_of_table = claim.table_id == rules.identity.table_id
    return is_of_table and claim.subject not in rules.lost and not rules.filter_changed and rules.base_began


def _rebuild_alone(rules: Rules) -> Plan | None:
    """Plan a backfill of what is verified throughout: it asks DynamoDB for nothing, so the end of a chain does not matter to it."""
    span = rules.request.interval
    if rules.request.kind is not RunKind.BACKFILL or span is None or rules.chain.unclaimed(span):
        return None
    known = rules.chain.windows_starting_in(span)
    if not known or not all(each.verified for each in known):
        return None
    return rules.planned(None, _covered(rules, known), (), span.end)


def _on_chain(rules: Rules, claim: Claim) -> Plan:
    """Plan a run of a chain that goes on.

    :param claim: its base.
    """
    request = rules.request
    if not rules.base_began:
        return _base_alone(rules, claim, "no export of its base began yet, so perhaps DynamoDB refuses the filter")
    if request.kind is RunKind.BACKFILL:
        return _backfill(rules, claim)
    if request.wanted:
        return _wanted(rules, claim, request.wanted)
    if request.full_export:
        return _snapshot(rules)
    return _catch_up(rules, rules.pending(claim) or rules.pending_snapshot(), _base_time(claim))


def _require_one_wish(request: PlanRequest) -> None:
    wishes = {
        "new_base": request.new_base,
        "full_export": request.full_export,
        "from and to": request.wanted is not None,
    }
    asked = [name for name, is_asked in wishes.items() if is_asked]
    if asked and request.kind is not RunKind.MANUAL:
        raise PlanError(
            f"{request.kind} run",
            f"it was given {', '.join(asked)}, which only a run by hand can do",
            "leave the parameters of the backfill as they are, or trigger the DAG by hand",
        )
    if len(asked) > 1:
        raise PlanError("manual run", f"it was given {' as well as '.join(asked)}", "give one of them only")
    if request.re_export and not request.wanted:
        raise PlanError(
            "manual run",
            "re_export does not say which windows",
            "give from and to as well: each window between them is exported again",
        )


def _first_base(rules: Rules, opening: str | None = None) -> Plan:
    """Plan the base of a new chain, and what the run covers behind it."""
    request, chain = rules.request, rules.chain
    if request.kind is RunKind.BACKFILL or request.wanted:
        raise PlanError(
            "backfill" if request.kind is RunKind.BACKFILL else f"manual window {request.wanted}",
            "the table has no base yet, so no window can be placed",
            "let the first scheduled run make the base, then start this again",
        )
    closes = chain.number if chain.base_claim else None
    wanted, source = _wanted_base(rules, follows=closes is not None)
    base_time = max(ceil_minute(wanted), rules.first_restorable(), *rules.ends_under_another_filter())
    notes = (
        ()
        if base_time == ceil_minute(wanted)
        else (f"base moved from {iso(wanted)} to {_why_moved(rules, base_time)}",)
    )
    opening = opening or ("a new chain was asked for" if request.new_base else "the table has no chain yet")
    base = rules.new_base(base_time, f"{opening}; full export at {source}")
    if closes is not None or rules.until() <= base_time:
        return Plan(base, (), base_time, rules.wait_until([base]), notes, closes)
    return _catch_up(rules, base, base_time, notes)


def _why_moved(rules: Rules, base_time: datetime) -> str:
    if base_time in rules.ends_under_another_filter():
        return "where the exports under another filter end"
    return "where recovery begins"


def _wanted_base(rules: Rules, *, follows: bool) -> tuple[datetime, str]:
    """Return the moment at which a base is wanted, and what it is in words; ``base_time`` is that of the first chain only."""
    request = rules.request
    if request.base_time is not None and not request.new_base and not follows:
        return request.base_time, "the base_time of the configuration"
    if request.interval is not None and not request.new_base:
        return request.interval.end, "the end of the run's data interval"
    return rules.settled(), f"the last minute that has settled (now less {request.settle})"


def _other_table(rules: Rules, claim: Claim) -> Plan:
    """Decide where the table was deleted and created again: no window can follow on the chain."""
    identity = rules.identity
    if _may_begin_again(rules.request):
        return _first_base(rules, "the table was deleted and created again, and on_chain_end is new_base")
    raise TableIdentityError(
        identity.table_arn,
        f"its TableId is {identity.table_id}, the chain began with {claim.table_id}: the table was deleted and"
        " created again, so no window can follow on the chain",
        NEW_BASE_REMEDY,
    )


def _other_filter(rules: Rules, claim: Claim) -> Plan:
    """Decide where the configuration has another filter than the chain: a window holds other items than its base would."""
    now, then = words_of(rules.request.export_filter), words_of(claim.request.export_filter)
    is_verified = claim.subject in rules.chain.verified_subjects
    if not is_verified and (rules.base_began or not rules.chain.is_followed):
        # Perhaps DynamoDB refused the filter, and it was corrected since: then the base's next attempt takes the new one.
        return _base_alone(rules, claim, f"the filter was changed ({then} before) while the base is not verified")
    if _may_begin_again(rules.request):
        return _first_base(rules, f"the filter was changed ({then} before), and on_chain_end is new_base")
    raise PlanError(
        rules.identity.table_arn,
        f"its configuration now has {now}, the chain began with {then}: an export under another filter cannot follow on it",
        f"restore the filter, or{'' if is_verified else ', if DynamoDB refuses that one,'} {NEW_BASE_REMEDY}",
    )


def _base_alone(rules: Rules, claim: Claim, why: str) -> Plan:
    """Plan the base that is claimed, and nothing that would follow on it: while nothing does, its filter can be corrected.

    :raises PlanError: the run asks for a part of the chain.
    """
    if _asks_for_part(rules.request):
        raise PlanError(
            f"{rules.request.kind} run",
            f"{why}, and nothing can follow on the base {iso(_base_time(claim))} before it is verified",
            "let a scheduled run bring the base to an end, then start this again",
        )
    return Plan(
        rules.pending(claim), (), _base_time(claim), notes=(f"{why}: this run brings the base alone to an end",)
    )


def _lost_base(rules: Rules, claim: Claim) -> Plan:
    """Decide where the base was claimed, never exported, and recovery has passed it."""
    if _may_begin_again(rules.request):
        return _first_base(rules, "recovery passed the base before it was exported, and on_chain_end is new_base")
    raise PointInTimeRecoveryError(
        f"base {iso(_base_time(claim))} of {rules.identity.table_arn}",
        f"it was never exported, and point-in-time recovery reaches back to {iso(rules.require_recovery())} only",
        NEW_BASE_REMEDY,
    )


def _may_begin_again(request: PlanRequest) -> bool:
    """Tell whether a run may begin a new chain unasked: one that asks for a part only may not."""
    return request.on_chain_end is ChainEnd.NEW_BASE and not _asks_for_part(request)


def _asks_for_part(request: PlanRequest) -> bool:
    return request.kind is RunKind.BACKFILL or request.wanted is not None or request.full_export


def _catch_up(rules: Rules, base: PlannedExport | None, base_time: datetime, notes: tuple[str, ...] = ()) -> Plan:
    """Plan everything that is missing between the base and the end of the run."""
    until = rules.until()
    if until <= base_time:
        note = f"nothing before {iso(base_time)}: the chain begins there"
        return Plan(base, (), until, rules.wait_until([base]), (*notes, note))
    span = Stretch(base_time, until)
    pending = rules.pending_windows(span)
    fresh, more_notes = rules.fresh(span, base_time)
    if rules.request.on_chain_end is ChainEnd.NEW_BASE and (lost := rules.out_of_reach([*pending, *fresh])):
        return _base_behind(rules, span, lost)
    return rules.planned(base, pending, fresh, until, (*notes, *more_notes))


def _base_behind(rules: Rules, span: Stretch, lost: list[Stretch]) -> Plan:
    """Plan a new base at the end of the last hole that recovery does not reach, so that the windows behind it are kept."""
    kept = [each for covered in rules.chain.covered for each in subtract(covered, lost)]
    holes = [hole for hole in subtract(span, kept) if any(hole.overlaps(each) for each in lost)]
    base_time = max(holes[-1].end, rules.first_restorable())
    reason = (
        f"recovery no longer reaches {Stretch(lost[0].start, lost[-1].end)}, and on_chain_end is new_base; full export where"
        " the hole ends"
    )
    base = rules.new_base(base_time, reason)
    closes = rules.chain.number
    if span.end <= base_time:
        return Plan(base, (), base_time, rules.wait_until([base]), (), closes)
    rest = Stretch(base_time, span.end)
    fresh, notes = rules.fresh(rest, base_time)
    return replace(rules.planned(base, rules.pending_windows(rest), fresh, span.end, notes), closes_chain=closes)


def _backfill(rules: Rules, base_claim: Claim) -> Plan:
    """Plan the run's own interval: export what no claim covers, rebuild what one does."""
    span, base_time = rules.request.interval, _base_time(base_claim)
    if span is None:
        raise PlanError("backfill", "the run has no data interval", "use an interval timetable for the DAG")
    covered = _covered(rules, rules.chain.windows_starting_in(span))
    base = rules.pending(base_claim)
    if base is None and span.start < base_time <= span.end:
        base = of_claim(base_claim, Action.REBUILD, _REBUILD)
    fresh, notes = rules.fresh(span, base_time)
    return rules.planned(base, covered, fresh, span.end, notes)


_REBUILD = "covered by a verified export, whose files are made again"


def _covered(rules: Rules, windows: Sequence[KnownWindow]) -> list[PlannedExport]:
    covered = []
    for known in windows:
        attempt = rules.standing_attempt(known.window.key)
        pending = rules.pending(known.claim) if known.claim else None
        if pending or attempt != 0:
            rebuilt = PlannedExport(ClaimKind.WINDOW, Action.REBUILD, _REBUILD, window=known.window, attempt=attempt)
            covered.append(pending or rebuilt)
    return covered


def _wanted(rules: Rules, base_claim: Claim, span: Stretch) -> Plan:
    """Plan the stretch that a person asked for: export what no claim covers, or, if so asked, every window of it again."""
    if span.end > rules.request.now:
        raise PlanError(
            f"manual window {span}",
            f"it ends after {iso(rules.request.now)}, which is now by AWS's clock",
            "end it earlier",
        )
    _require_edges_of_windows(rules, span)
    inside = rules.chain.windows_starting_in(span)
    known = [pending for each in inside if each.claim and (pending := rules.pending(each.claim))]
    if not rules.request.re_export:
        fresh, notes = rules.fresh(span, _base_time(base_claim))
        covered = len(inside) - len(known)
        if covered:
            note = f"{covered} windows of {span} are covered by verified exports, and stay as they are"
            notes = (*notes, note)
        return rules.planned(rules.pending(base_claim), known, fresh, span.end, notes)
    # An export that runs is waited for; one that ended and does not verify never will, and only a next attempt helps.
    busy = {
        each.window
        for each in known
        if each.window and each.action is Action.CONTINUE and each.window.key not in rules.ended
    }
    again = [_again(rules.chain, each) for each in inside if each.window not in busy]
    if not again and not busy:
        raise PlanError(
            f"manual window {span}",
            "no claimed window lies in it, so there is nothing to export again",
            "leave out re_export to export what is missing, or see ddb-export gaps for what there is",
        )
    continued = [each for each in known if each.window in busy]
    return rules.planned(None, continued, again, span.end)


def _again(chain: Chain, known: KnownWindow) -> PlannedExport:
    is_verified = verified_attempt(chain, known.window.key) >= known.attempt
    state = "verified" if is_verified else "COMPLETED, but not verified"
    reason = f"attempt {known.attempt} is {state}; a person asked for it again"
    return PlannedExport(ClaimKind.WINDOW, Action.EXPORT_AGAIN, reason, window=known.window, attempt=known.attempt + 1)


def _require_edges_of_windows(rules: Rules, span: Stretch) -> None:
    """Refuse a stretch that begins or ends inside a claimed window."""
    for name, edge in (("from", span.start), ("to", span.end)):
        for known in rules.chain.windows_starting_in(Stretch(edge - LONGEST, edge)):
            window = known.window
            if window.start < edge < window.end:
                raise PlanError(
                    f"manual window {span}",
                    f"'{name}' lies inside {window}, which claim {known.sequence} holds",
                    f"set '{name}' to {iso(window.start)} or {iso(window.end)}",
                )


def _snapshot(rules: Rules) -> Plan:
    """Plan one more full export, which leaves the chain as it is."""
    rules.require_recovery()
    moment = max(rules.settled(), rules.first_restorable())
    reason = "a full export beside the chain was asked for; at the last minute that has settled"
    snapshot = PlannedExport(ClaimKind.SNAPSHOT, Action.EXPORT, reason, moment)
    return Plan(snapshot, (), moment, rules.wait_until([snapshot]))


def _base_time(claim: Claim) -> datetime:
    if claim.request.export_time is None:
        raise ValueError("a base is a full export and has an export_time")
    return claim.request.export_time
