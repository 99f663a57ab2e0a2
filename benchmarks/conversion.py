"""Measures conversion against the peer in one run: ``python -m benchmarks.conversion``.

Each round runs both, one after the other, in processes of their own on one core, because a machine drifts:
only figures of one run compare. Timed from the data file to the finished Parquet file, interpreter start,
verification and schema discovery included. Prints a table; MB are of uncompressed JSON, medians over rounds.
"""

from __future__ import annotations

import argparse
import gzip
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data_sets import DATA_SETS, write_data_file

CONTENDERS = {
    "one pass": ["benchmarks.convert_file"],
    "two passes": ["benchmarks.convert_file", "--two-passes"],
    "boto3 peer": ["benchmarks.peer_boto3"],
}


def run(module: list[str], source: Path, destination: Path) -> tuple[float, float]:
    """Run one contender.

    :returns: seconds, and its peak of resident memory in MiB.
    """
    started = time.perf_counter()
    arguments = [sys.executable, "-m", *module, str(source), str(destination)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{module[0]} failed")
    return time.perf_counter() - started, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def measure(name: str, mebibytes: int, rounds: int, folder: Path) -> None:
    """Print the rows of one data set."""
    source = folder / f"{name}.json.gz"
    items = write_data_file(name, source, mebibytes)
    with gzip.open(source) as lines:
        megabytes = sum(len(line) for line in lines) / 1e6
    seconds: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
    peaks: dict[str, float] = {}
    for _ in range(rounds):
        for contender, module in CONTENDERS.items():
            duration, peak = run(module, source, folder / "out.parquet")
            seconds[contender].append(duration)
            peaks[contender] = max(peak, peaks.get(contender, 0))
    slowest = statistics.median(seconds["boto3 peer"])
    for contender, durations in seconds.items():
        median = statistics.median(durations)
        print(
            f"{name:8} {items:>8} items {megabytes:6.0f} MB  {contender:11} {median:7.2f} s "
            f"{megabytes / median:7.1f} MB/s  {slowest / median:5.2f}x  peak {peaks[contender]:.0f} MiB"
        )


WRONG = """
What boto3's TypeDeserializer, as people write it (benchmarks/peer_boto3.py), gets wrong:
  - a NULL and an attribute that is missing come out the same;
  - numbers inside lists and maps become text, as strings are;
  - a column of mixed types becomes JSON text, whatever most of its values are;
  - columns follow from one file alone, so the files of one export differ in theirs;
  - nothing is verified, a line that is no record ends it, and all rows are held in memory."""


def main(arguments: Sequence[str] = ()) -> None:
    """Measure all data sets, then say what the peer gets wrong.

    :param arguments: ``--mebibytes`` of each data set, ``--rounds`` of each contender.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        for name in DATA_SETS:
            measure(name, options.mebibytes, options.rounds, Path(folder))
    print(WRONG)


if __name__ == "__main__":
    main(sys.argv[1:])
