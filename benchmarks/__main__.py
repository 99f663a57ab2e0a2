"""``python -m benchmarks [--quick] [NAME…]`` (``make bench``): each benchmark says what it finds, and one table at the end holds it all."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.figures import Figure, table


@dataclass(frozen=True)
class Benchmark:
    """A module of this package with a ``main()`` that takes arguments and returns figures.

    :param quick: arguments that make it small: to see that it runs, not for figures to be told.
    """

    words: str
    quick: tuple[str, ...]


BENCHMARKS = {
    "conversion": Benchmark(
        "conversion beside its peer, and what the peer gets wrong", ("--mebibytes", "4", "--rounds", "1")
    ),
    "memory": Benchmark("memory of converting one large file", ("--mebibytes", "64")),
    "parsing": Benchmark(
        "tables in YAML and the DAG processor, beside hand-written DAGs", ("--tables", "20", "--rounds", "1")
    ),
    "planning": Benchmark("what planning costs with years of windows behind it", ("--windows", "10", "1000")),
    "waiting": Benchmark(
        "waits in one triggerer, beside the amazon provider's waiter", ("--waits", "40", "--window", "5")
    ),
}
"""In the order in which they run."""


def main() -> None:
    """Run the benchmarks that are named, all of them without a name, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that they run, not for figures")
    options = parser.parse_args()
    names = options.names or list(BENCHMARKS)
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    figures: list[Figure] = []
    for name in names:
        print(f"\n== {name}: {BENCHMARKS[name].words}", flush=True)
        arguments = BENCHMARKS[name].quick if options.quick else ()
        figures += importlib.import_module(f"benchmarks.{name}").main(arguments)
    size = "small sizes, which say little" if options.quick else "full sizes"
    print(
        f"\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, {os.cpu_count()} cores"
        f" ({platform.machine()}), {size}\n"
    )
    print("\n".join(table(figures)))


if __name__ == "__main__":
    main()
