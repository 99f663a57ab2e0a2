"""The command ``python -m demo``, which ``make demo`` runs."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddb_export.exceptions import DdbExportError
from demo.cloud import ACCOUNT, DATABASE, REGION
from demo.console import Console
from demo.demonstration import Demonstration
from demo.ending import alone_in, end_by_signals, ignore_signals
from demo.errors import DemoError
from demo.history import TABLE
from local_aws.client import LabError

_EMPTY: Mapping[str, Any] = {
    "ok": False,
    "table": TABLE,
    "database": DATABASE,
    "lake": None,
    "head": None,
    "seconds": 0.0,
    "runs": [],
    "athena": None,
    "dynamodb": None,
    "equal": False,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is 0 if everything held, 1 if not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build"), help="where demo.json and demo/ go (build)")
    parser.add_argument("--keep", action="store_true", help="leave Airflow and the local AWS running until Ctrl-C")
    options = parser.parse_args(arguments)
    console = Console()
    folder = options.output / "demo"
    end_by_signals()
    try:
        with alone_in(folder):
            return _run(Demonstration(folder, console), options.output / "demo.json", keep=options.keep)
    except DemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(demonstration: Demonstration, file: Path, *, keep: bool) -> int:
    error, code = None, 0
    try:
        try:
            demonstration.run()
        except (DemoError, DdbExportError, LabError) as problem:
            error, code = str(problem), 1
        except KeyboardInterrupt:
            error, code = "the demo was interrupted", 130
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"
            raise
        finally:
            seconds = round(demonstration.console.seconds, 1)
            _write(file, {**_EMPTY, **demonstration.result, "ok": error is None, "seconds": seconds}, error)
        _say_where(demonstration, file, error)
        demonstration.folder.joinpath("output.txt").write_text(demonstration.console.said, encoding="utf-8")
        if keep and code != 130:
            _wait(demonstration)
    finally:
        ignore_signals()
        demonstration.stack.close()
    return code


def _write(file: Path, document: Mapping[str, Any], error: str | None) -> None:
    whole = {**document, "error": error} if error else document
    part = file.with_suffix(".json.part")
    part.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(file)


def _say_where(demonstration: Demonstration, file: Path, error: str | None) -> None:
    console = demonstration.console
    if error:
        sys.stdout.flush()
        print(f"\nerror: {error}", file=sys.stderr)
    else:
        console.title("Where to look")
        console.line(f"  {demonstration.folder}/lake/         every object of the lake, by its key")
        console.line(f"  {demonstration.folder}/table.jsonl   the table: a Scan in DynamoDB JSON")
        console.line(f"  {file}          all of the above as JSON")
    console.step("done" if error is None else "ended")


def _wait(demonstration: Demonstration) -> None:
    console = demonstration.console
    if not demonstration.addresses:
        return
    console.title("Still running, until Ctrl-C")
    for name, address in demonstration.addresses.items():
        console.line(f"  {name}: {address}")
    endpoint = demonstration.addresses["the local AWS"]
    console.line("\n  To ask it yourself, in another shell:")
    console.line(f"  export AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION={REGION}")
    console.line(f"  export AWS_ACCESS_KEY_ID={ACCOUNT} AWS_SECRET_ACCESS_KEY=lab")
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.line()


if __name__ == "__main__":
    sys.exit(main())
