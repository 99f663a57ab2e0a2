"""The command ``ddb-export``: what the provider does, for a terminal and for scripts, without Airflow.

One module per command. A command module has a ``COMMAND`` (:class:`ddb_export.cli.command.Command`); listing it in
:data:`_MODULES` is all that it takes. Heavy libraries (boto3, pyarrow) are imported inside the functions that need them,
so that ``--help`` and errors of usage are quick.

Exit codes: 0 it is done and holds; 1 data did not verify, has a hole, or a run is refused; 2 wrong usage or configuration; 3 a place is not reachable or
not permitted; 70 a fault of this program; 130 and 143 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import io
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ddb_export.cli import (
    check,
    compact,
    convert,
    cost,
    doctor,
    gaps,
    init,
    ledger,
    lifecycle,
    plan,
    policy,
    prune,
    status,
    verify,
    widen,
)
from ddb_export.cli.arguments import build_parser, named_command
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console
from ddb_export.exceptions import DdbExportError, NotReachableError

_MODULES = (
    verify,
    convert,
    status,
    gaps,
    plan,
    widen,
    compact,
    prune,
    ledger,
    init,
    check,
    policy,
    doctor,
    cost,
    lifecycle,
)
COMMANDS: tuple[Command, ...] = tuple(module.COMMAND for module in _MODULES)

EXIT_FAULT = 70
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :param argv: its arguments without the program's name; None for those of the process.
    :return: the exit code; see the module.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    console = Console(as_json="--json" in arguments, empty=named_command(COMMANDS, arguments).empty_document)
    try:
        with _sigterm_as_exception():
            code = _run(arguments, console)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output went away, as `head` does; there is nobody left to tell.
        sys.stderr.close()
        return EXIT_INTERRUPTED


def _run(arguments: list[str], console: Console) -> int:
    try:
        parsed = build_parser(COMMANDS).parse_args(arguments)
        command: Command = parsed.command
        return command.run(parsed, console)
    except DdbExportError as error:
        return console.fail(error)
    except _TerminatedError:
        return console.stopped(EXIT_TERMINATED, "SIGTERM")
    except KeyboardInterrupt:
        return console.stopped(EXIT_INTERRUPTED, "Ctrl-C")
    except BrokenPipeError:
        raise
    except OSError as error:
        thing = str(error.filename or "a file")
        return console.fail(NotReachableError(thing, error.strerror or str(error), "check the path and the disk"))
    except Exception as error:  # noqa: BLE001  # the promise of one JSON object holds for our own faults too
        return console.fault(EXIT_FAULT, error)


@contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that staged output is removed; only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM arrived; cleaning up is as for Ctrl-C."""


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _TerminatedError
