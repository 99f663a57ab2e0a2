"""What ``ddb-export plan`` says: one document for scripts, and the same in lines for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ddb_export.cli.plan_request import Asked
from ddb_export.domain.cost import Budget, Estimate, limit, usd
from ddb_export.domain.plan import PointInTimeRecovery
from ddb_export.domain.utc import iso, parse_utc

if TYPE_CHECKING:
    from ddb_export.domain.ledger import Chain
    from ddb_export.domain.plan import Plan

_MOST_LINES = 60
_MOST_ALIKE = 4
_NAMED_ONCE = ("covered", "note", "basis")


def document_of_world(chain: Chain, recovery: PointInTimeRecovery, now: datetime) -> dict[str, Any]:
    """Return what is so, whatever is planned: base, head, what is covered, how far recovery reaches."""
    base, head = chain.base_claim, chain.head
    return {
        "now": iso(now),
        "base": iso(base.request.export_time) if base and base.request.export_time else None,
        "head": iso(head) if head else None,
        "lag_seconds": _seconds(now - head) if head else None,
        "recovery": {
            "enabled": recovery.enabled,
            "earliest": iso(recovery.earliest) if recovery.earliest else None,
            "latest": iso(recovery.latest) if recovery.latest else None,
            "period_days": recovery.period.days if recovery.period else None,
        },
        "deadline": _deadline(head, recovery),
        "covered": [{"start": iso(each.start), "end": iso(each.end)} for each in chain.verified_stretches],
    }


def _deadline(head: datetime | None, recovery: PointInTimeRecovery) -> str | None:
    """Return until when what follows the head can be exported; None if that is not known, or is over."""
    if head is None or recovery.earliest is None or recovery.period is None or head < recovery.earliest:
        return None
    return iso(head + recovery.period)


def document_of_run(asked: Asked) -> dict[str, Any]:
    """Return which run it is about."""
    stretch = asked.stretch
    return {
        "kind": str(asked.kind),
        "start": iso(stretch.start) if stretch else None,
        "end": iso(stretch.end) if stretch else None,
        "runs": max(len(asked.starts), 1),
    }


def document_of_plan(
    plan: Plan, estimated: Estimate, asked: Asked, budget: Budget, spent: Decimal | None
) -> dict[str, Any]:
    """Return what would be done and what it would cost.

    :param spent: what the month's exports cost so far, in USD; None if that was not asked for.
    """
    return {
        "exports": [line.to_json() for line in estimated.lines],
        "wait_until": iso(plan.wait_until) if plan.wait_until else None,
        "notes": list(plan.notes),
        "usd": f"{estimated.total:f}",
        "basis": list(estimated.basis),
        "budget": {
            "run_usd": f"{budget.run:f}" if budget.run is not None else None,
            "dearest_run_usd": f"{dearest_run(estimated, asked).total:f}",
            "month_usd": f"{budget.month:f}" if budget.month is not None else None,
            "spent_this_month_usd": f"{spent:f}" if spent is not None else None,
        },
    }


def dearest_run(estimated: Estimate, asked: Asked) -> Estimate:
    """Return the part of an estimate that belongs to the dearest run: budgets are a run's, and a backfill has many."""
    if len(asked.starts) < 2:
        return estimated
    by_run: defaultdict[int, list[Any]] = defaultdict(list)
    for line in estimated.lines:
        window = line.planned.window
        by_run[asked.run_of(window.start if window else asked.starts[0])].append(line)
    parts = [Estimate(tuple(lines), estimated.basis) for lines in by_run.values()]
    return max(parts, key=lambda part: part.total, default=Estimate())


def lines(document: Mapping[str, Any]) -> list[str]:
    """Return a document for people."""
    report = [f"{document['table']}: {_state(document)}"]
    problems = [("problem", f"{each['file']}: {each['cause']}") for each in document["errors"]]
    previous = ""
    for label, text in (*_world_lines(document), *_plan_lines(document), *problems):
        shown = "" if label == previous and label in _NAMED_ONCE else label
        report.append(f"  {shown:<12} {text}")
        previous = label
    return report


def _state(document: Mapping[str, Any]) -> str:
    if document["usd"] is None:
        return "REFUSED"
    billed = [each for each in document["exports"] if _is_billed(each)]
    what = f"{len(billed)} export{'s' * (len(billed) != 1)} to pay, about {usd(Decimal(document['usd']))}"
    if not billed:
        what = "nothing to pay" if document["exports"] else "nothing to do"
    return what if document["ok"] else f"OVER BUDGET: {what}"


def _is_billed(export: Mapping[str, Any]) -> bool:
    return Decimal(export["usd"]) > 0


def _world_lines(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    run, recovery = document["run"], document["recovery"]
    span = f", {run['start']} to {run['end']}" if run["start"] else ""
    many = f", {run['runs']} runs" if run["runs"] > 1 else ""
    found = [("table", document["table_arn"]), ("run", f"{run['kind']}{span}{many}")]
    verified = "" if document["head"] else ", not verified yet"
    found.append(("base", f"{document['base']}{verified}" if document["base"] else "none yet"))
    if document["head"]:
        found.append(("complete", f"to {document['head']}, {_duration(document['lag_seconds'])} ago"))
    if not recovery["enabled"]:
        found.append(("recovery", "OFF: DynamoDB cannot export the table"))
    else:
        period = f", {recovery['period_days']} days at most" if recovery["period_days"] else ""
        found.append(("recovery", f"{recovery['earliest']} to {recovery['latest']}{period}"))
    if document["deadline"]:
        left = _duration(_seconds(parse_utc(document["deadline"]) - parse_utc(document["now"])))
        text = f"{document['deadline']}, in {left}: until then what follows {document['head']} can be exported"
        found.append(("deadline", text))
    elif document["head"] and recovery["earliest"] and parse_utc(document["head"]) < parse_utc(recovery["earliest"]):
        found.append(
            ("deadline", f"PASSED: recovery begins after {document['head']}, up to which the data is complete")
        )
    found += [("covered", f"{each['start']} to {each['end']}") for each in document["covered"]]
    return found


def _plan_lines(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    if document["usd"] is None:
        return []
    exports = document["exports"]
    found = [line for group in _alike(exports) for line in _export_lines(group)]
    if len(found) > _MOST_LINES:
        found = [*found[:_MOST_LINES], ("…", f"{len(found) - _MOST_LINES} lines more; --json shows all")]
    found += [("note", note) for note in document["notes"]]
    if document["wait_until"]:
        found.append(("waits", f"until {document['wait_until']}, so that the last writes are in"))
    found.append(("price", f"about {usd(Decimal(document['usd']))}" if any(map(_is_billed, exports)) else "nothing"))
    found += [("basis", sentence) for sentence in document["basis"]]
    return [*found, ("budget", _budget_words(document))]


def _alike(exports: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Put windows together that follow each other, with one action and one reason."""
    groups: list[list[Mapping[str, Any]]] = []
    for each in exports:
        last = groups[-1][-1] if groups else None
        if (
            last
            and all(last[key] == each[key] for key in ("action", "reason", "kind"))
            and last["end"] == each["start"]
        ):
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def _export_lines(group: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Write a group: one line each, or one for all of many."""
    if len(group) > _MOST_ALIKE:
        total = sum((Decimal(each["usd"]) for each in group), Decimal(0))
        return [_export_line(group[0], f"{len(group)} windows", group[-1]["end"], total)]
    return [_export_line(each, each["kind"], each["end"], Decimal(each["usd"])) for each in group]


def _export_line(export: Mapping[str, Any], what: str, end: str | None, price: Decimal) -> tuple[str, str]:
    when = f"{export['start']} to {end}" if export["start"] else export["export_time"]
    shown = usd(price) if price else "-"
    return export["action"], f"{what:<12} {when:<44} {shown:>12}  {export['reason']}"


def _budget_words(document: Mapping[str, Any]) -> str:
    budget = document["budget"]
    limits = []
    if budget["run_usd"] is not None:
        limits.append(f"{limit(Decimal(budget['run_usd']))} a run")
    if budget["month_usd"] is not None:
        limits.append(f"{limit(Decimal(budget['month_usd']))} a month")
    if not limits:
        return "none is set"
    dearest = f"; the dearest costs {usd(Decimal(budget['dearest_run_usd']))}" if document["run"]["runs"] > 1 else ""
    spent = budget["spent_this_month_usd"]
    month = f"; this month's exports cost {usd(Decimal(spent))} so far" if spent is not None else ""
    return f"{' and '.join(limits)}: {'kept' if document['ok'] else 'NOT KEPT'}{dearest}{month}"


def _duration(seconds: int) -> str:
    """Write a length of time in its two largest units: ``32 days 15 h``, ``8 h 5 min``."""
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86_400
    units = [(days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min")]
    parts = [f"{number} {unit}" for number, unit in units if number]
    return " ".join(parts[:2]) or "less than a minute"


def _seconds(length: timedelta) -> int:
    return length // timedelta(seconds=1)
