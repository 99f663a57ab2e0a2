"""The command line of the lab, shared by the bootstrap (bare Python) and the server."""

from __future__ import annotations

import argparse

EXAMPLE = """example:
  python3 -m local_aws --port 4566 &
  export AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_ACCESS_KEY_ID=111122223333 AWS_SECRET_ACCESS_KEY=any
  export AWS_DEFAULT_REGION=us-east-1
Any key works; a 12-digit access key id is the account. Lab controls: see local_aws/README.md."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the lab's arguments into ``port``, ``host``, ``export_seconds``, ``parent_pid`` and ``verbose``; exits 2 on misuse."""
    parser = argparse.ArgumentParser(
        prog="python3 -m local_aws",
        description="An embedded AWS on 127.0.0.1: S3, DynamoDB with faithful exports, Glue, Athena, SNS, SQS, SES, STS, KMS, IAM.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=int, default=4566, metavar="N", help="TCP port; 0 takes a free one (default 4566)"
    )
    parser.add_argument(
        "--export-seconds", type=float, default=1.0, metavar="S", help="real seconds that an export takes (default 1.0)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; another than 127.0.0.1 only inside a container, since anyone who reaches it may do anything",
    )
    parser.add_argument("--parent-pid", type=int, metavar="PID", help="end when this process is gone")
    parser.add_argument("--verbose", action="store_true", help="log what ministack does to stderr")
    return parser.parse_args(arguments)
