"""One process that converts one data file, and prints time and peak memory as JSON: for memory, where no manifest matters.

``python -m benchmarks.convert_file orders.json.gz out.parquet`` prints ``{"rows", "quarantined",
"passes", "seconds", "peak_rss_mebibytes"}``; the peak is of the whole process, Python and pyarrow included.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

from ddb_export.conversion.parquet import convert_data_file, scan_and_convert_data_file
from ddb_export.conversion.scan import scan_data_file
from ddb_export.domain.schema import SchemaDocument


def convert(source: Path, destination: Path, *, two_passes: bool = False) -> dict[str, float]:
    """Scan, decide the schema, convert; in one pass if the schema can be guessed from the first lines."""
    started = time.perf_counter()
    if two_passes:
        with source.open("rb") as stream:
            scanned = scan_data_file(stream, "FULL_EXPORT")
        schema, converted, passes = SchemaDocument().extend(scanned.statistics), None, 1
    else:
        with source.open("rb") as stream:
            speculative = scan_and_convert_data_file(
                stream,
                export_type="FULL_EXPORT",
                published=SchemaDocument(),
                table_id="benchmark",
                destination=destination,
            )
        scanned = speculative.scanned
        schema, passes = SchemaDocument().extend(scanned.statistics), 1
        converted = speculative.converted if speculative.schema.fingerprint == schema.fingerprint else None
    if converted is None:
        passes += 1
        with source.open("rb") as stream:
            converted = convert_data_file(
                stream, export_type="FULL_EXPORT", schema=schema, table_id="benchmark", destination=destination
            )
    if converted.digest != scanned.digest:
        raise SystemExit("the file changed between scan and conversion")
    return {
        "rows": converted.rows,
        "quarantined": converted.quarantined,
        "passes": passes,
        "seconds": round(time.perf_counter() - started, 3),
        "peak_rss_mebibytes": peak_rss_mebibytes(),
    }


def peak_rss_mebibytes() -> float:
    """Peak resident memory of this process in MiB (``ru_maxrss`` is KiB on Linux and bytes on macOS).

    On Linux ``ru_maxrss`` counts what the process that forked this one had; ``VmHWM`` begins with the program itself.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return round(int(line.split()[1]) / 1024, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1 << 20), 1)


def main() -> None:
    """Convert one data file and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    parser.add_argument("--two-passes", action="store_true", help="scan first, as tasks on several workers do")
    options = parser.parse_args()
    print(json.dumps(convert(options.source, options.destination, two_passes=options.two_passes)))


if __name__ == "__main__":
    main()
