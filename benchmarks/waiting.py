"""Measures 1,000 waits in one triggerer beside the peer's: ``python -m benchmarks waiting``.

The exports are spread over four (connection, region) pairs of the lab and run until they are released, all at once. Each contender
holds its waits in a process of its own, as a triggerer does, started from class path and arguments. Memory is what the waits
add to a process that has loaded what an idle triggerer has; CPU and calls are of the time after the first ten seconds; an end is
noticed when the trigger fires, counted from the EndTime of the export. The lab speaks HTTP without TLS and does not throttle.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import boto3

from benchmarks.figures import Figure
from local_aws.client import Lab

ACCOUNTS = [f"1111222233{number:02}" for number in range(4)]
CONTENDERS = {"ours": "one poller per pair", "peer": "provider's waiter"}


def client(lab: Lab, account: str, service: str) -> Any:
    """Make a client of the lab."""
    return boto3.client(
        service,
        endpoint_url=lab.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=account,
        aws_secret_access_key="lab",  # the lab takes any
    )


def make_table(lab: Lab, account: str) -> str:
    """Make a table with point-in-time recovery, and a bucket; return the table's ARN."""
    client(lab, account, "s3").create_bucket(Bucket=f"exports-{account}")
    dynamodb = client(lab, account, "dynamodb")
    table = dynamodb.create_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_continuous_backups(
        TableName="orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    return str(table["TableDescription"]["TableArn"])


def start_exports(lab: Lab, account: str, number: int) -> tuple[str, list[str]]:
    """Start exports that run until they are released; return the fault that holds them, and their ARNs."""
    dynamodb = client(lab, account, "dynamodb")
    table_arn = dynamodb.describe_table(TableName="orders")["Table"]["TableArn"]
    fault = lab.add_fault("delay_export", account=account, times=None, hold=True)
    ask = {"TableArn": table_arn, "S3Bucket": f"exports-{account}"}
    started = [dynamodb.export_table_to_point_in_time(**ask) for _ in range(number)]
    return fault, [each["ExportDescription"]["ExportArn"] for each in started]


@contextmanager
def child(contender: str, lab: Lab, window: float) -> Iterator[subprocess.Popen[str]]:
    """Run a contender in a process of its own, with an Airflow of its own and a connection for each pair."""
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile("w+") as errors:
        extra = {"region_name": "us-east-1", "endpoint_url": lab.endpoint_url}
        connections = {
            f"AIRFLOW_CONN_PAIR_{pair}": json.dumps(
                {"conn_type": "aws", "login": account, "password": "lab", "extra": extra}
            )
            for pair, account in enumerate(ACCOUNTS)
        }
        settings = {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        command = [sys.executable, "-m", "benchmarks.waiting_child", contender, "--window", str(window)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **settings, **connections},
        )
        with process:
            yield process
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{contender} failed: {errors.read()[-2000:]}")


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the next line of JSON, nothing if there is none any more; whatever else Airflow prints is passed over."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            return dict(json.loads(line))
    return {}


def calls_per_second(lab: Lab, account: str, began: float, ended: float) -> tuple[float, int]:
    """Return the mean of DescribeExport calls a second within a time, and the most within one second."""
    calls = lab.calls(account, operation="DescribeExport")
    times = [datetime.fromisoformat(call["time"]).timestamp() for call in calls]
    within = Counter(int(moment - began) for moment in times if began <= moment < ended)
    return sum(within.values()) / (ended - began), max(within.values(), default=0)


def measure(contender: str, lab: Lab, waits: int, window: float) -> dict[str, float]:
    """Print the figures of one contender, and return them by their units."""
    held = [start_exports(lab, account, waits // len(ACCOUNTS)) for account in ACCOUNTS]
    with child(contender, lab, window) as process:
        assert process.stdin is not None
        print(json.dumps([arns for _, arns in held]), file=process.stdin, flush=True)
        held_for = answer(process)
        for fault, _ in held:
            lab.release(fault)
        ends = answer(process)
    exported = [export for account in ACCOUNTS for export in lab.exports(account)]
    ended = {each["export_arn"]: datetime.fromisoformat(each["end_time"]).timestamp() for each in exported}
    delays = [noticed - ended[arn] for arn, noticed in ends["ends"].items()]
    calls = [calls_per_second(lab, account, held_for["from"], held_for["to"]) for account in ACCOUNTS]
    cpu, mean_calls = held_for["cpu"] * 100, max(mean for mean, _ in calls)
    print(
        f"{CONTENDERS[contender]:20} {waits} waits  {held_for['mebibytes']:6.0f} MiB added  "
        f"{cpu:5.1f} % of a core  {mean_calls:5.2f} calls/s per pair "
        f"(at most {max(most for _, most in calls)} in a second)  ends noticed after {statistics.median(delays):.0f} s "
        f"(median), {max(delays):.0f} s (last)  event loop blocked for {ends['block']:.1f} s at most",
        flush=True,
    )
    for account in ACCOUNTS:
        lab.clear_calls(account)
        lab.clear_faults(account)
    return {
        "MiB added": held_for["mebibytes"],
        "% of a core": cpu,
        "calls/s per pair": mean_calls,
        "s to the last end": max(delays),
    }


def main(arguments: Sequence[str] = ()) -> list[Figure]:
    """Measure both, one after the other, and return their figures."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks waiting")
    parser.add_argument("--waits", type=int, default=1000, help="waits, spread over four pairs")
    parser.add_argument("--window", type=float, default=50, help="seconds in which CPU and calls are measured")
    options = parser.parse_args(arguments)
    with Lab.start(export_seconds=0.1) as lab:
        for account in ACCOUNTS:
            make_table(lab, account)
        found = {contender: measure(contender, lab, options.waits, options.window) for contender in CONTENDERS}
    case = f"{options.waits:,} waits"
    return [
        Figure("waiting", case, unit, ours, found["peer"][unit], note=f"the amazon {CONTENDERS['peer']}")
        for unit, ours in found["ours"].items()
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
