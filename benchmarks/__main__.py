"""``python -m benchmarks [NAME…]`` (``make bench``): each benchmark prints a table; all of them without a name."""

from __future__ import annotations

import argparse
import importlib

BENCHMARKS = {
    "conversion": "conversion beside its peer, and what the peer gets wrong",
    "memory": "memory of converting a file of 2 GB",
    "parsing": "what the DAG processor does with 500 tables, beside 500 hand-written DAGs",
    "planning": "what planning costs with years of windows behind it",
    "waiting": "1,000 waits in one triggerer beside the amazon provider's waiter",
}
"""Modules of this package with a ``main()``, in the order in which they run."""

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    for name in names:
        importlib.import_module(f"benchmarks.{name}").main()
