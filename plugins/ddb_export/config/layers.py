"""How defaults and what is written nearer to a table become one declaration: folder, file, table; the later one wins.

Settings are merged key by key at every depth, so that a table which says one thing keeps the defaults of all others: ``alerts``,
``athena``, ``budget``, ``compaction``, ``contract``, ``glue``, ``prices``, ``retention``. The columns of a contract and the object tags are
added up, each column again key by key: a ``drop`` or ``hash`` of the folder is never lost because a table says something else of that
column; where the two contradict each other the table is refused.

What says one thing by several keys comes whole from the nearest layer that has it: :data:`TAKEN_WHOLE`. A projection of the folder below
an expression of the table would leave out attributes that its author asked for. Lists come whole too.
"""

from __future__ import annotations

from dataclasses import replace

from ddb_export.config.yaml_source import Entry, Located

TAKEN_WHOLE = frozenset({("filter",), ("contract", "entities")})
"""The blocks that are one statement each, by the keys that lead to them."""


def layered(lower: Located | None, upper: Located | None, path: tuple[str, ...] = ()) -> Located:
    """Return ``upper`` over ``lower``; each entry keeps the place where it was written.

    :param path: the keys that lead to both.
    """
    if path in TAKEN_WHOLE or lower is None or lower.entries is None or upper is None or upper.entries is None:
        found = upper or lower
        return found if found is not None else Located({}, "", 1, 1)
    entries = dict(lower.entries)
    for key, entry in upper.entries.items():
        below = entries.get(key)
        entries[key] = Entry(entry.key, layered(below.value, entry.value, (*path, key))) if below else entry
    return replace(upper, value=entries)
