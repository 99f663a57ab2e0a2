"""Measures conversion against the peer in one run: ``python -m benchmarks.conversion``.

Each round runs both, one after the other, in processes of their own on one core, because a machine drifts:
only figures of one run compare. Timed from the export's URI to finished, published Parquet files: interpreter start, manifests, MD5 and counts of
every file, and schema discovery included. The peers read the one data file and verify nothing. MB are of uncompressed JSON, medians over rounds.
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
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.data_sets import DATA_SETS, write_data_file
from benchmarks.export_folder import put_into_export
from benchmarks.faults import faults
from benchmarks.figures import Figure

CONTENDERS = {
    "ddb-export convert": ["benchmarks.convert_export"],
    "as a run's tasks": ["benchmarks.convert_export", "--as-tasks"],
    "boto3 peer": ["benchmarks.peer_boto3"],
    "pyarrow.json": ["benchmarks.peer_readers", "pyarrow.json"],
    "DuckDB": ["benchmarks.peer_readers", "duckdb"],
    "Polars": ["benchmarks.peer_readers", "polars"],
}
PEER = "boto3 peer"
OURS = "ddb-export convert"
_POLL_SECONDS = 0.01


def start(module: list[str], source: Path, destination: Path, core: int | None) -> subprocess.Popen[bytes]:
    """Start one contender, on one core where the system knows of that."""
    arguments = [sys.executable, "-m", *module, str(source), str(destination)]
    pin = None if core is None else lambda: os.sched_setaffinity(0, {core})
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, preexec_fn=pin)  # noqa: PLW1509  # no thread here


def finish(process: subprocess.Popen[bytes]) -> float:
    """Wait for a contender.

    :return: its peak of resident memory in MiB.
    """
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _peak_of(process.pid))
        time.sleep(_POLL_SECONDS)
    if process.returncode:
        raise SystemExit(f"{process.args!r} failed")
    return peak


def _peak_of(pid: int) -> float:
    """Peak so far in MiB, by Linux; ``ru_maxrss`` would count what the process that forked this one had."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)


def run(module: list[str], source: Path, destinations: Sequence[Path]) -> tuple[float, float]:
    """Convert as often as there are destinations, side by side, each on a core of its own.

    :param source: the export's folder for ours, its data file for peers.
    :return: seconds, and the largest peak of resident memory in MiB.
    """
    cores: Sequence[int | None] = [None] * len(destinations)
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0), reverse=True)[: len(destinations)]
    started = time.perf_counter()
    running = [start(module, source, each, core) for each, core in zip(destinations, cores, strict=True)]
    peaks = [finish(each) for each in running]
    return time.perf_counter() - started, max(peaks)


def measure(name: str, mebibytes: int, rounds: int, folder: Path) -> list[Figure]:
    """Print the rows of one data set, and return what is told of it beside the other benchmarks."""
    data, export = folder / f"{name}.json.gz", folder / name
    items = write_data_file(name, data, mebibytes)
    with gzip.open(data) as lines:
        size = sum(len(line) for line in lines)
    megabytes = size / 1e6
    data = put_into_export(data, export, items, size)
    results: dict[str, list[tuple[float, float]]] = {contender: [] for contender in CONTENDERS}
    wrong: dict[str, list[str]] = {}
    out, second = folder / "out", folder / "second"
    two: list[float] = []
    for _ in range(rounds):
        for contender, module in CONTENDERS.items():
            destination = out if _is_ours(module) else out.with_suffix(".parquet")
            results[contender].append(run(module, export if _is_ours(module) else data, [destination]))
            if contender not in wrong:
                (made,) = destination.rglob("*.parquet") if _is_ours(module) else (destination,)
                wrong[contender] = faults(data, made)
        if (os.cpu_count() or 1) > 1:
            two.append(run(CONTENDERS[OURS], export, [out, second])[0])
    peer = statistics.median(seconds for seconds, _ in results[PEER])
    print(f"{name}: {items} items, {megabytes:.0f} MB of JSON in one file; one core")
    for contender, measured in results.items():
        median = statistics.median(seconds for seconds, _ in measured)
        peak = max(each for _, each in measured)
        print(
            f"  {contender:19}{median:7.2f} s {megabytes / median:6.1f} MB/s {peer / median:6.2f}x  peak {peak:4.0f} MiB  "
            f"wrong: {'; '.join(wrong[contender]) or 'nothing'}"
        )
    if two:
        one = statistics.median(seconds for seconds, _ in results[OURS])
        both = statistics.median(two)
        print(
            f"  {OURS}, two exports on two cores: {both:.2f} s, {2 * megabytes / both:.1f} MB/s, "
            f"{2 * one / both:.2f} times one core"
        )
    return _figures(f"{name}, {megabytes:.0f} MB", megabytes, results, wrong[PEER])


def _figures(
    case: str, megabytes: float, results: Mapping[str, Sequence[tuple[float, float]]], wrong: Sequence[str]
) -> list[Figure]:
    def speed(contender: str) -> float:
        return megabytes / statistics.median(seconds for seconds, _ in results[contender])

    def peak(contender: str) -> float:
        return max(each for _, each in results[contender])

    note = f"{PEER}; kinds of fault in its file, named above: {len(wrong)}"
    return [
        Figure("conversion", case, "MB/s, one core", speed(OURS), speed(PEER), more_is_better=True, note=note),
        Figure("conversion", case, "peak MiB", peak(OURS), peak(PEER), note=PEER),
    ]


def _is_ours(module: Sequence[str]) -> bool:
    return module[0] == "benchmarks.convert_export"


MORE = """
boto3 peer: boto3's TypeDeserializer as people write it (benchmarks/peer_boto3.py). "wrong" is looked up in the Parquet file (benchmarks/faults.py);
what shows in no file: the peers verify nothing, a line that is no record ends them, and they hold all rows in memory."""


def main(arguments: Sequence[str] = ()) -> list[Figure]:
    """Measure all data sets, then say what the peer gets wrong.

    :param arguments: ``--mebibytes`` of each data set, ``--rounds`` of each contender.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for name in DATA_SETS:
            figures += measure(name, options.mebibytes, options.rounds, Path(folder))
    print(MORE)
    return figures


if __name__ == "__main__":
    main(sys.argv[1:])
