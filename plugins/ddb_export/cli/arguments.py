"""The command line's grammar: what all commands share, and errors of usage as errors of ours."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from ddb_export import __version__
from ddb_export.cli.command import Command
from ddb_export.exceptions import UsageError

PROGRAM = "ddb-export"
_WIDTH = 80


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help that fits 80 columns, also where there is no terminal; examples keep their lines."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=min(_WIDTH, int(os.environ.get("COLUMNS") or _WIDTH)))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise where argparse would print and exit, so that ``--json`` holds for errors of usage too."""
        raise UsageError(self.prog, message, f"see {self.prog} --help")


def build_parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    """Return the parser of the whole program; the chosen command is in ``command`` of what it parses."""
    parser = _Parser(
        prog=PROGRAM,
        description="Plan, prove, verify and convert the exports of DynamoDB tables\n(ExportTableToPointInTime).",
        epilog=_example(commands[0].example)
        + "\n\nexit codes: 0 done, 1 the answer is no (data did not verify, a hole, a plan\n"
        "that is refused), 2 wrong usage or configuration, 3 not reachable or not\npermitted",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    choices = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in commands:
        child = choices.add_parser(
            command.name,
            help=command.summary,
            description=command.description,
            epilog=_example(command.example),
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        child.set_defaults(command=command)
        command.add_arguments(child)
        child.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
    return parser


def add_aws_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which AWS account, region and endpoint are meant."""
    group = parser.add_argument_group(
        "AWS",
        "Without these, credentials and region are found as boto3 finds them: the\n"
        "region in AWS_DEFAULT_REGION or the AWS configuration files, not AWS_REGION. A\n"
        "table's role_arn is assumed with them; a profile is taken as it is.",
    )
    group.add_argument("--profile", metavar="NAME", help="profile in the AWS configuration files")
    group.add_argument(
        "--assume-role",
        dest="assumed_role",
        type=_role_arn,
        metavar="ARN",
        help="role to assume with the credentials, instead of the table's role_arn",
    )
    group.add_argument("--region", metavar="NAME", help="for example eu-central-1")
    group.add_argument("--endpoint-url", metavar="URL", help="another address for AWS, such as a local one")


def _role_arn(text: str) -> str:
    if not re.fullmatch(r"arn:[^:\s]+:iam::[0-9]{12}:role/\S+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no role's ARN, such as arn:aws:iam::111122223333:role/NAME")
    return text


def named_command(commands: Sequence[Command], arguments: Sequence[str]) -> Command:
    """Return the command that the arguments name, for the shape of its JSON; the first one if they name none."""
    by_name = {command.name: command for command in commands}
    return next((by_name[each] for each in arguments if each in by_name), commands[0])


def _example(text: str) -> str:
    lines = text.strip().splitlines()
    return "example:\n" + "\n".join(f"  {line}" for line in lines)


def is_terminal() -> bool:
    """Tell whether a person watches stderr."""
    return sys.stderr is not None and sys.stderr.isatty()
