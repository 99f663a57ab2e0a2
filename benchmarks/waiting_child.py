"""One contender of :mod:`benchmarks.waiting`: holds its waits in one process, as a triggerer does, and prints what it measured.

Reads the export ARNs, one list per connection, as JSON from standard input. Prints one JSON object when the waits have been held for
the time of the window (the parent then ends the exports), and another when the last end was noticed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

PEER = "benchmarks.peer_waiter.ExportWaiterTrigger"
OURS = "ddb_export.triggers.export.DynamoDBExportTrigger"


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


def inflate(path: str, arns: list[list[str]]) -> list[Any]:
    """Make the triggers as a triggerer does: from class path and keyword arguments."""
    module, name = path.rsplit(".", 1)
    found = getattr(importlib.import_module(module), name)
    return [found(export_arn=arn, aws_conn_id=f"pair_{pair}") for pair, exports in enumerate(arns) for arn in exports]


async def noticed(trigger: Any, ends: dict[str, float]) -> None:
    """Wait as a triggerer does, until the trigger fires."""
    async for _ in trigger.run():
        ends[trigger.export_arn] = time.time()


async def longest_block(stop: asyncio.Event) -> float:
    """Return for how many seconds at most the event loop did nothing else, as Airflow's watchdog sees it."""
    longest = 0.0
    while not stop.is_set():
        began = time.monotonic()
        await asyncio.sleep(0.05)
        longest = max(longest, time.monotonic() - began - 0.05)
    return longest


async def hold(path: str, arns: list[list[str]], window: float) -> None:
    """Hold the waits, measure, and wait for the ends."""
    gc.collect()
    before = resident()
    stop, ends = asyncio.Event(), dict[str, float]()
    watchdog = asyncio.create_task(longest_block(stop))
    waits = [asyncio.create_task(noticed(trigger, ends)) for trigger in inflate(path, arns)]
    await asyncio.sleep(10)  # clients are made, imports are done
    cpu, began = time.process_time(), time.time()
    await asyncio.sleep(window)
    seconds = time.time() - began
    share = (time.process_time() - cpu) / seconds
    print(json.dumps({"mebibytes": resident() - before, "cpu": share, "from": began, "to": time.time()}), flush=True)
    await asyncio.gather(*waits)
    stop.set()
    print(json.dumps({"ends": ends, "block": await watchdog}), flush=True)


def main() -> None:
    """Measure one contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=("ours", "peer"))
    parser.add_argument("--window", type=float, required=True)
    options = parser.parse_args()
    arns = json.loads(sys.stdin.readline())
    # What an idle triggerer has loaded is not added by waits.
    importlib.import_module("airflow.jobs.triggerer_job_runner")
    logging.disable(logging.INFO)
    asyncio.run(hold(OURS if options.contender == "ours" else PEER, arns, options.window))


if __name__ == "__main__":
    main()
