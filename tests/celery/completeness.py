"""What must be true of every table at the end: exported as claimed and once, no hole, and readers see what the table's history has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ddb_export.domain.utc import compact, iso
from tests.scheduler.world import World


def require_complete(world: World, day: int, base: int, say: Callable[[str], None]) -> None:
    """Check every table of a world against its history, its ledger, and what DynamoDB was asked for.

    :param day: number of the only window's day. :param base: number of the base's midnight. :param say: is told one line.
    :raises AssertionError: something does not hold; the message begins with the table's name.
    """
    start, end, full = world.midnights[day], world.midnights[day + 1], world.midnights[base]
    wanted = {f"full-{compact(full)}-a1": 1, f"{compact(start)}-{compact(end)}-a1": 1}
    for name in world.names:
        lake = world.lake(name)
        chain = lake.chain()
        claims = [each.export for each in chain.claims]
        assert chain.head == end, (name, chain.head)
        assert sorted(claims) == sorted(chain.verified) == sorted(wanted), (name, claims, *chain.verified)
        assert lake.exports() == wanted, (name, lake.exports())
        assert lake.failed_exports() == 0, name
        lake.require_equal_to_table(day, base=base)
    calls = world.lab.calls(world.account, operation="ExportTableToPointInTime")
    accepted = [call["parameters"] for call in calls if not call.get("error_code")]
    tokens = {(call["S3Prefix"], call["ClientToken"]) for call in accepted}
    exports = world.lab.exports(world.account)
    number = len(wanted) * len(world.names)
    asked = Counter(prefix for prefix, _ in tokens)
    assert set(asked.values()) == {1}, f"claims asked for with several client tokens: {asked.most_common(4)}"
    assert len(exports) == len({token for _, token in tokens}) == len(asked) == number, (len(exports), len(asked))
    say(
        f"{number} claims, {len(accepted)} calls of ExportTableToPointInTime with {len(tokens)} client tokens, {len(exports)} exports: "
        f"each claim exported and billed once; every head at {iso(end)}, no hole, every lake equals its table"
    )
