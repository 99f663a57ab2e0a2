"""Measures the memory of converting one large data file: ``python -m benchmarks.memory --mebibytes 2048``.

The file is one part repeated as gzip members, so that it is made in seconds; its items come again, which changes nothing for a converter
that holds a row group at a time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.conversion import finish, start
from benchmarks.data_sets import MORE_DATA_SETS, repeat_data_file
from benchmarks.figures import Figure

PART_MEBIBYTES = 64
SPARSE_SHARE = 8
"""Attributes by the thousands are read item by item, so a smaller file has to do: an eighth."""


def main(arguments: Sequence[str] = ()) -> list[Figure]:
    """Convert each data set once, print the peak of the whole process, and return it.

    :param arguments: ``--mebibytes`` of uncompressed JSON.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=2048)
    options = parser.parse_args(arguments)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for name in MORE_DATA_SETS:
            source, destination = Path(folder) / f"{name}.json.gz", Path(folder) / "out.parquet"
            mebibytes = options.mebibytes // (SPARSE_SHARE if name == "sparse" else 1)
            size = repeat_data_file(name, source, mebibytes, min(PART_MEBIBYTES, mebibytes))
            began = time.perf_counter()
            peak = finish(start(["benchmarks.convert_file"], source, destination, None))
            case = f"{name}, {size / 1e6:.0f} MB in one file"
            print(f"{case}, {time.perf_counter() - began:.0f} s, peak {peak:.0f} MiB")
            figures.append(Figure("memory", case, "peak MiB", peak, note="the whole process, one file at once"))
    return figures


if __name__ == "__main__":
    main(sys.argv[1:])
