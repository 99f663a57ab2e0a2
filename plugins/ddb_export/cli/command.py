"""What a command is made of."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddb_export.cli.console import Console


@dataclass(frozen=True, slots=True)
class Command:
    """One command of ``ddb-export``.

    :param name: how it is called.
    :param summary: one line for the list of commands.
    :param description: what it promises, for its own help.
    :param example: one or more lines that can be copied.
    :param add_arguments: adds its arguments to its parser.
    :param run: does it; returns the exit code.
    :param empty_document: every key of its JSON object, with the value that stands for "not known".
    """

    name: str
    summary: str
    description: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Console], int]
    empty_document: Mapping[str, Any]
