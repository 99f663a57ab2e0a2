"""Whether a chain has a hole, and where: the proof that people ask for, computed from evidence alone.

Only verified windows cover time here. What Airflow, XCom or a summary believe does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ddb_export.domain.evidence import ClaimKind
from ddb_export.domain.ledger import Chain
from ddb_export.domain.utc import floor_minute, iso
from ddb_export.domain.window import Stretch, Window, subtract


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch after the base that no verified window covers although a later one does.

    :param stretch: where. :param cause: why, as far as the ledger knows. :param remedy: the one action.
    """

    stretch: Stretch
    cause: str
    remedy: str

    def to_json(self) -> dict[str, str]:
        """Return a flat object."""
        return {
            "start": iso(self.stretch.start),
            "end": iso(self.stretch.end),
            "cause": self.cause,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class ChainSpan:
    """One chain of the table's history.

    :param number: its number, from 1. :param base: moment of its full export.
    :param base_verified: whether that export is verified. :param current: whether it is the newest.
    """

    number: int
    base: datetime | None
    base_verified: bool
    current: bool

    def to_json(self) -> dict[str, Any]:
        """Return a flat object."""
        return {
            "number": self.number,
            "base": iso(self.base) if self.base else None,
            "base_verified": self.base_verified,
            "current": self.current,
        }


@dataclass(frozen=True, slots=True)
class GapReport:
    """How a table's coverage of time stands.

    :param head: how far the data is complete without a hole; None without a verified base.
    :param lag: how old the data is: now less head.
    :param holes: in order of time. :param islands: verified stretches that the head does not reach, beyond holes.
    :param history: verified stretches before the base. :param overlaps: stretches that two verified windows cover, neither of
        which took the other's place.
    :param pending: claimed windows at the end that are not verified yet: lag, not holes.
    """

    table_arn: str | None
    chains: tuple[ChainSpan, ...]
    base: datetime | None
    head: datetime | None
    lag: timedelta | None
    holes: tuple[Hole, ...]
    islands: tuple[Stretch, ...]
    history: tuple[Stretch, ...]
    overlaps: tuple[Stretch, ...]
    pending: tuple[Window, ...]

    @property
    def ok(self) -> bool:
        """Whether the base is verified and no hole follows it."""
        return self.head is not None and not self.holes

    def to_json(self) -> dict[str, Any]:
        """Return the report as ``ddb-export gaps --json`` prints it; ``lag_seconds`` in whole seconds."""
        return {
            "ok": self.ok,
            "table_arn": self.table_arn,
            "chains": [chain.to_json() for chain in self.chains],
            "base": iso(self.base) if self.base else None,
            "head": iso(self.head) if self.head else None,
            "lag_seconds": int(self.lag.total_seconds()) if self.lag is not None else None,
            "holes": [hole.to_json() for hole in self.holes],
            "islands": [_stretch(each) for each in self.islands],
            "history": [_stretch(each) for each in self.history],
            "overlaps": [_stretch(each) for each in self.overlaps],
            "pending": [_stretch(each) for each in self.pending],
            "errors": [self._error(hole) for hole in self.holes] if self.head else [_no_base(self.table_arn)],
        }

    def _error(self, hole: Hole) -> dict[str, str]:
        return {"file": f"{self.table_arn} {hole.stretch}", "cause": hole.cause, "remedy": hole.remedy}


def find_gaps(chain: Chain, now: datetime) -> GapReport:
    """Derive the report from a table's ledger.

    :param chain: the whole ledger. :param now: the present, UTC.
    """
    covered = chain.verified_stretches
    base = chain.base_claim.request.export_time if chain.base_claim else None
    head = chain.head
    islands = tuple(each for each in covered if head is not None and each.start > head)
    beyond = [
        claim.window
        for claim in chain.newest_attempts.values()
        if claim.window and not _is_inside(claim.window, covered)
    ]
    last = islands[-1].end if islands else head
    return GapReport(
        table_arn=chain.owner.table_arn if chain.owner else None,
        chains=_spans(chain),
        base=base,
        head=head,
        lag=now - head if head else None,
        holes=_holes(chain, covered, head, last),
        islands=islands,
        history=tuple(each for each in covered if base is not None and each.end <= base),
        overlaps=_overlaps(_verified_windows(chain)),
        pending=tuple(sorted(window for window in beyond if last is None or window.start >= last)),
    )


def _verified_windows(chain: Chain) -> list[Window]:
    """Return what readers see, in order of time; a window whose place another has taken is none of it."""
    entries = chain.verified_subjects.values()
    return sorted(entry.window for entry in entries if entry.window and entry.subject not in chain.superseded)


def _is_inside(window: Window, covered: Sequence[Stretch]) -> bool:
    return any(each.contains(window) for each in covered)


def _holes(chain: Chain, covered: Sequence[Stretch], head: datetime | None, last: datetime | None) -> tuple[Hole, ...]:
    if head is None or last is None or last <= head:
        return ()
    return tuple(_explained(chain, each) for each in subtract(Stretch(floor_minute(head), last), covered))


def _explained(chain: Chain, stretch: Stretch) -> Hole:
    for claim in chain.newest_attempts.values():
        if claim.window and claim.window.overlaps(stretch):
            return Hole(
                stretch,
                f"claim {claim.sequence} (attempt {claim.attempt}) holds {claim.window}, but it is not verified",
                "see the log of its export or verify task; the next run goes on with it",
            )
    return Hole(stretch, "it was never claimed", "run the table's DAG: it exports what no window covers")


def _overlaps(windows: Sequence[Window]) -> tuple[Stretch, ...]:
    found = []
    reached = None
    for each in windows:
        if reached and each.start < reached:
            found.append(Stretch(each.start, min(reached, each.end)))
        reached = max(reached, each.end) if reached else each.end
    return tuple(found)


def _spans(chain: Chain) -> tuple[ChainSpan, ...]:
    newest = {claim.chain: claim for claim in chain.claims if claim.kind is ClaimKind.BASE}
    verified = {entry.subject for entry in chain.verified.values()}
    return tuple(
        ChainSpan(number, claim.request.export_time, claim.subject in verified, number == chain.number)
        for number, claim in sorted(newest.items())
    )


def _stretch(stretch: Stretch) -> dict[str, str]:
    return {"start": iso(stretch.start), "end": iso(stretch.end)}


def _no_base(table_arn: str | None) -> dict[str, str]:
    return {
        "file": str(table_arn),
        "cause": "the chain has no verified base",
        "remedy": "see the log of the table's tasks export_base and verify_base",
    }
