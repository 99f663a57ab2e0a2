"""A bundle for an Airflow that runs elsewhere, over a lab that runs elsewhere: ``python -m demo.lab_tables --endpoint-url URL --into DIR``.

It lays down the demo's flights in the lab, as of the last midnight, and writes a DAG file and the table's YAML, which names the connection
``lab``. A lab that has the table already is left as it is.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from demo import history
from demo.cloud import Cloud
from demo.declared_table import WINDOWS, declaration
from demo.errors import DemoError
from demo.flights_file import fetch_archive, read_rows
from local_aws.client import Lab, LabError

CONNECTION = "lab"
DAG_FILE = "ddb_export_tables.py"
_MARGIN = timedelta(minutes=10)
_POLL_INTERVAL = "5s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Lay down the flights and write the bundle; the exit code is 1 if that failed."""
    parser = argparse.ArgumentParser(prog="python -m demo.lab_tables", description=__doc__)
    parser.add_argument("--endpoint-url", required=True, metavar="URL", help="of the lab")
    parser.add_argument("--into", required=True, type=Path, metavar="DIR", help="folder of the DAG bundle")
    options = parser.parse_args(arguments)
    try:
        lay_down(Cloud(Lab(options.endpoint_url)), options.into)
    except (DemoError, LabError, BotoCoreError, ClientError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def lay_down(cloud: Cloud, bundle: Path) -> None:
    """Write flights into the lab, and the bundle.

    :param cloud: the account in the lab. :param bundle: folder of the DAG file and ``tables/``, made if need be.
    """
    midnight = history.last_midnight(datetime.now(UTC), _MARGIN)
    if not cloud.client("dynamodb").list_tables()["TableNames"]:
        rows = read_rows(fetch_archive(), year=str(history.YEAR), month=str(history.MONTH))
        flights = [history.read_flight(row) for row in rows if int(row["day"]) >= history.FIRST_DAY]
        cloud.lay_down(history.history(flights, history.shift_to(midnight)))
        print(f"{len(flights):,} flights laid down in the lab")
    tables = bundle / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    base_time = midnight - timedelta(days=WINDOWS)
    tables.joinpath("flights.yaml").write_text(declaration(base_time, CONNECTION, poll_interval=_POLL_INTERVAL))
    source = Path(__file__).resolve().parents[1]
    found = next(path for path in (source / DAG_FILE, source / "dags" / DAG_FILE) if path.is_file())
    shutil.copyfile(found, bundle / DAG_FILE)
    print(f"{bundle}: DAG ddb_export__{history.TABLE}")


if __name__ == "__main__":
    sys.exit(main())
