"""What planning the next run costs with 10, 1,000 and 100,000 windows behind it: requests, bytes and seconds.

The ledgers are written with the ledger's own code into a bucket in memory that counts requests as S3 would (a listing is one for
every 1,000 keys). DynamoDB is not asked: its part is two calls whatever the length of the chain.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from benchmarks.figures import Figure
from ddb_export.aws.object_store import ObjectMissingError, PreconditionFailedError
from ddb_export.aws.stored import Stored, StoredContent
from ddb_export.domain.evidence import Claim, ClaimKind, PublishedEntry, VerifiedEntry
from ddb_export.domain.export import ExportRequest, ExportViewType
from ddb_export.domain.layout import Lake
from ddb_export.domain.plan import PlanRequest, PointInTimeRecovery, RunKind, TableIdentity
from ddb_export.domain.window import Stretch, Window
from ddb_export.pipeline.ledger import Ledger
from ddb_export.pipeline.ledger_documents import LedgerDocuments
from ddb_export.pipeline.ledger_reading import claim_path
from ddb_export.pipeline.planning import plan_run

if TYPE_CHECKING:
    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.aws.object_store import ObjectStore

SIZES = (10, 1_000, 100_000)
STEP = timedelta(minutes=15)
START = datetime(2024, 1, 1, tzinfo=UTC)
ARN = "arn:aws:dynamodb:us-east-1:111122223333:table/orders"
OUTPUTS = ("snapshots", "changes")
_PAGE = 1000


@dataclass
class CountingStore:
    """A bucket in memory.

    :param requests: how many of each kind were made. :param bytes_read: what was read of objects.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    bytes_read: int = 0

    def uri(self, key: str = "") -> str:
        """Name an object."""
        return f"s3://bench/{key}"

    def read(self, key: str) -> StoredContent:
        """Read an object."""
        self.requests["GET"] += 1
        if key not in self.objects:
            raise ObjectMissingError(key, "there is none", "none")
        content = self.objects[key]
        self.bytes_read += len(content)
        return StoredContent(content, hashlib.md5(content, usedforsecurity=False).hexdigest())

    def list_objects(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        """List keys in their order."""
        first = max(bisect_right(self.keys, start_after), bisect_left(self.keys, prefix))
        self.requests["LIST"] += 1
        for listed, key in enumerate(islice(self.keys, first, None)):
            if not key.startswith(prefix):
                return
            if listed and listed % _PAGE == 0:
                self.requests["LIST"] += 1
            yield Stored(key, len(self.objects[key]), None)

    def put(self, key: str, content: bytes, *, content_type: str = "application/json") -> str:
        """Write an object."""
        self.requests["PUT"] += 1
        if key not in self.objects:
            insort(self.keys, key)
        self.objects[key] = content
        return ""

    def put_if_absent(self, key: str, content: bytes, *, content_type: str = "application/json") -> str:
        """Write an object once."""
        if key in self.objects:
            raise PreconditionFailedError(key, "there is one", "none")
        return self.put(key, content, content_type=content_type)


class _Table:
    """What planning asks of DynamoDB."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def identify(self, table: str) -> TableIdentity:
        return TableIdentity(table, "id")

    def recovery(self, table: str) -> tuple[PointInTimeRecovery, datetime]:
        return PointInTimeRecovery(enabled=True, earliest=self._now - timedelta(days=35), latest=self._now), self._now


def write_chain(ledger: Ledger, count: int) -> datetime:
    """Write a verified and published chain of 15-minute windows; return its head."""
    documents = LedgerDocuments(ledger.store, ledger.lake.ledger)
    ledger.own(ARN, START)
    raw = ledger.lake.key("raw")
    for number in range(count + 1):
        end = START + number * STEP
        window = Window(end - STEP, end) if number else None
        kind = ClaimKind.WINDOW if window else ClaimKind.BASE
        view = ExportViewType.NEW_AND_OLD_IMAGES if window else None
        request = ExportRequest(ARN, "bench", raw, None if window else START, window, view)
        claim = Claim(number + 1, 1, kind, 1, request, "id", end, "no export covers it yet")
        claim = replace(claim, request=replace(request, s3_prefix=f"{raw}/{claim.export}"))
        documents.put_once(claim_path(claim.sequence), claim.to_json())
        ledger.record_verified(verified(claim, end))
        ledger.record_published(published(claim, end))
    return START + count * STEP


def verified(claim: Claim, moment: datetime) -> VerifiedEntry:
    """Make the evidence that a claim's export is whole."""
    window = claim.window
    return VerifiedEntry(
        export=claim.export, kind=claim.kind, attempt=claim.attempt, export_arn=f"{ARN}/export/{claim.sequence:014}-00000000",
        table_arn=ARN, table_id="id", export_time=claim.request.export_time, start=window.start if window else None,
        end=window.end if window else None, view=None, bucket="bench", manifest_key="m", level="bytes", files=4,
        item_count=1, bytes_read=1, billed_bytes=10_000_000, ttl_attribute=None, verified_at=moment,
    )  # fmt: skip


def published(claim: Claim, moment: datetime) -> PublishedEntry:
    """Make the evidence that a claim's output can be read."""
    output = "changes" if claim.window else "snapshots"
    return PublishedEntry(output, claim.export, "g-0", "s3://bench/", "p", "d.t", 4, 1, 0, 1, 1, "f", moment)


def _measured(store: CountingStore, work: Callable[[], Any]) -> tuple[Any, Counter[str], int, float]:
    store.requests.clear()
    store.bytes_read = 0
    begun = time.perf_counter()
    result = work()
    return result, Counter(store.requests), store.bytes_read, time.perf_counter() - begun


def plan_next(ledger: Ledger, head: datetime) -> Any:
    """Plan the scheduled run of the interval that follows, and leave the summary, as the plan task does."""
    now = head + STEP + timedelta(minutes=6)
    request = PlanRequest(
        RunKind.SCHEDULED,
        now,
        timedelta(minutes=5),
        Stretch(head, head + STEP),
        ExportViewType.NEW_AND_OLD_IMAGES,
        OUTPUTS,
    )
    run = plan_run(cast("DynamoDBGateway", _Table(now)), ledger, ARN, request, lambda _start, _end: ())
    ledger.summarise(run.chain, OUTPUTS)
    return run


def main(arguments: Sequence[str] = ()) -> list[Figure]:
    """Print the table, and return its figures with a summary, as all runs but the first have it.

    :param arguments: ``--windows``, each a length of the chain.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, nargs="+", default=SIZES)
    figures = []
    print("\nPlanning the next window (15-minute windows; requests as S3 counts them)")
    print(f"{'windows behind':>15} {'summary':>9} {'GET':>8} {'LIST':>6} {'PUT':>5} {'kB read':>9} {'seconds':>9}")
    for size in parser.parse_args(arguments).windows:
        store = CountingStore()
        ledger = Ledger(cast("ObjectStore", store), Lake("bench", "lake", "orders"))
        head = write_chain(ledger, size)
        for summary in ("none", "there"):
            run, requests, read, seconds = _measured(store, partial(plan_next, ledger, head))
            assert run.chain.head == head
            assert [each.window for each in run.plan.windows] == [Window(head, head + STEP)]
            print(
                f"{size:>15,} {summary:>9} {requests['GET']:>8,} {requests['LIST']:>6,} {requests['PUT']:>5,}"
                f" {read / 1000:>9,.1f} {seconds:>9.3f}"
            )
        note = f"{requests['GET']} GET, {requests['LIST']} LIST, {requests['PUT']} PUT, {read / 1000:,.0f} kB read"
        case = f"{size:,} windows behind"
        figures.append(Figure("planning", case, "requests", requests.total(), note=note))
        figures.append(Figure("planning", case, "ms", seconds * 1000, note="over a bucket in memory"))
    return figures


if __name__ == "__main__":
    main()
