"""What shape a file of the folder has: one table, several with defaults for them, or the defaults of all files.

A file is read by its keys, so a misspelt ``tables`` must not make it a file of one table, whose every key would then be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

from ddb_export.config.model import TableConfiguration
from ddb_export.config.problems import Problem, ProblemError, kind, nearest
from ddb_export.config.yaml_source import Entry, Located

_FILE_KEYS = ("defaults", "tables")
NOT_SHARED = ("table", "name")
"""Keys that cannot have a default."""
_TABLE_KEYS = tuple(TableConfiguration.model_fields)


def defaults_in(content: Located) -> Located | None:
    """Return the content of a defaults file; None if it holds nothing.

    :raises ProblemError: it is no mapping of keys that can have a default.
    """
    for key, entry in (content.entries or {}).items():
        if key in _FILE_KEYS:
            what = "move it into a file of another name" if key == "tables" else "write its keys without it"
            raise ProblemError(entry.key.problem(f"'{key}' stands in a file that is defaults as a whole", what))
    return _checked_defaults(content)


def tables_in(content: Located) -> tuple[Located | None, list[Located]]:
    """Return the defaults that a file has for its tables, and the tables, each a mapping.

    :param content: what the file holds; not nothing.
    :raises ProblemError: it is neither one table nor several.
    """
    if content.entries is None:
        raise ProblemError(
            content.problem(
                f"the file holds {kind(content.value)}",
                "write the keys of one table, or 'tables:' and a list",
            )
        )
    if misspelt := _misspelt(content.entries):
        raise ProblemError(*misspelt)
    if any(key in content.entries for key in _FILE_KEYS):
        return _several_tables(content)
    return None, [content]


def _misspelt(entries: Mapping[str, Entry]) -> list[Problem]:
    """Return the keys that stand for ``tables`` or ``defaults``, in a file that has neither and is no table."""
    table = entries.get("table")
    if any(key in entries for key in _FILE_KEYS) or (table is not None and table.value.items is None):
        return []
    found = []
    for key, entry in entries.items():
        near = None if key.startswith("x-") else nearest(key, [*_TABLE_KEYS, *_FILE_KEYS])
        if key == "table":
            found.append(entry.key.problem("'table' is a list", "write 'tables' for several tables"))
        elif entry.value.items is not None and near in ("table", "tables"):
            found.append(entry.key.problem(f"unknown key '{key}'", "write 'tables'"))
        elif near in _FILE_KEYS and not isinstance(entry.value.value, str):
            found.append(entry.key.problem(f"unknown key '{key}'", f"write '{near}'"))
    return found


def _several_tables(content: Located) -> tuple[Located | None, list[Located]]:
    entries = content.entries or {}
    beside = "tables" if "tables" in entries else "defaults"
    unknown = [
        entry.key.problem(f"unknown key '{key}' beside '{beside}'", _place_for(key))
        for key, entry in entries.items()
        if key not in _FILE_KEYS and not key.startswith("x-")
    ]
    if unknown:
        raise ProblemError(*unknown)
    if "tables" not in entries:
        raise ProblemError(content.problem("the file has defaults but no tables", "add the list 'tables'"))
    listed = entries["tables"].value
    if listed.items is None:
        raise ProblemError(
            listed.problem(f"'tables' is {kind(listed.value)}", "write a list, each item beginning with '- table: '")
        )
    for item in listed.items:
        if item.entries is None:
            raise ProblemError(
                item.problem(f"a table of the list is {kind(item.value)}", "write it as '- table: NAME'")
            )
    defaults = entries.get("defaults")
    return _checked_defaults(defaults.value) if defaults else None, listed.items


def _place_for(key: str) -> str:
    if key in NOT_SHARED:
        return "move it into a table of the list 'tables'"
    near = None if key in _TABLE_KEYS else nearest(key, _FILE_KEYS)
    return f"write '{near}'" if near else "move it below 'defaults', or into a table of the list 'tables'"


def _checked_defaults(content: Located) -> Located | None:
    if content.value is None:
        return None
    if content.entries is None:
        raise ProblemError(
            content.problem(f"the defaults are {kind(content.value)}", "write a mapping of keys to their defaults")
        )
    for key, entry in content.entries.items():
        if key in NOT_SHARED:
            raise ProblemError(entry.key.problem(f"'{key}' cannot have a default", "write it at each table"))
    return content
