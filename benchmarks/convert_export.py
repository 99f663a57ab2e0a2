"""One process that turns an export into published Parquet files: ``python -m benchmarks.convert_export EXPORT_FOLDER OUT_FOLDER``.

As ``ddb-export convert`` does it: manifests and every byte verified, schema discovered from all data, converted and published, each data file read
once. With ``--as-tasks`` as the tasks of a run do it: verify, scan and convert each read the files for themselves, as they may run on several workers.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from ddb_export.aws.object_store import LocalObjectStore
from ddb_export.domain.contract import NO_CONTRACT
from ddb_export.domain.schema import SchemaDocument
from ddb_export.pipeline.conversion import ExportSource, convert_files, plan_generation, publish_generation, scan_files
from ddb_export.pipeline.location import locate_export
from ddb_export.pipeline.verification import read_manifests, verify_export
from ddb_export.pipeline.whole_export import Destination, convert_export


def convert(export: Path, destination: Path) -> bool:
    """Convert an export, and say whether it verified."""
    store = LocalObjectStore(export)
    return convert_export(store, locate_export(store, ""), Destination(LocalObjectStore(destination), "")).report.ok


def convert_as_tasks(export: Path, destination: Path) -> bool:
    """Convert an export in the steps of a run's tasks, and say whether it verified."""
    store, target = LocalObjectStore(export), LocalObjectStore(destination)
    manifests = read_manifests(store, locate_export(store, ""))
    if not verify_export(store, manifests).ok:
        return False
    source = ExportSource(store, manifests)
    generation = plan_generation(source, SchemaDocument().extend(scan_files(source)), None, NO_CONTRACT)
    publish_generation(source, generation, convert_files(source, generation, target), target)
    return True


def main() -> None:
    """Convert one export; the exit code says whether it verified."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("export", type=Path)
    parser.add_argument("destination", type=Path)
    parser.add_argument("--as-tasks", action="store_true", help="read the files once for each task")
    options = parser.parse_args()
    shutil.rmtree(options.destination, ignore_errors=True)
    raise SystemExit(not (convert_as_tasks if options.as_tasks else convert)(options.export, options.destination))


if __name__ == "__main__":
    main()
