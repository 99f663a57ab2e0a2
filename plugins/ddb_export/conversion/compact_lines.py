"""Whether typed lines hold anything that their structs do not show, told from their length.

A typed decoder forgets a member when a name occurs twice. But lines of compact JSON are as long as what was decoded from them needs:
names, tags, payloads and the signs between them. What was forgotten, a blank between two signs and an escaped character each make a line
longer and nothing makes one shorter, so that lines of the expected length together are each without any of these. Escaped characters are
found and counted, the text is otherwise not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import orjson

from ddb_export.conversion.checked_payloads import CheckedPayloads
from ddb_export.conversion.typed_lines import Images, Run, Slot

_SIGNS = len('"":{"":},')
"""Around an attribute's name, its tag and its payload. That the first one has no comma is in :attr:`Run.frame_bytes`."""

_escapes = re.compile(rb"\\.").findall

Checked = Sequence[tuple[Images, Mapping[Slot, CheckedPayloads]]]
"""Each kind of image of a run, with its checked payloads."""


def holds_nothing_else(run: Run, checked: Checked, typed_lines: Sequence[bytes]) -> bool:
    r"""Tell whether the typed lines of a run are surely nothing but the compact JSON of what was decoded from them.

    :param typed_lines: the lines of the run that were not read exactly.
    :return: False where that is not sure, too: an escaped name, or a character as ``\u0041``.
    """
    longer = sum(map(len, typed_lines)) - _shortest(run, checked)
    return longer == 0 or (longer > 0 and longer == _added_by_escapes(checked, typed_lines))


def _shortest(run: Run, checked: Checked) -> int:
    size = run.frame_bytes
    for images, slots in checked:
        for (attribute, tag), found in slots.items():
            size += found.count * (len(attribute.encode()) + len(tag) + _SIGNS) + found.text_bytes()
        # What was read exactly is among the payloads, but its lines are not. If anything, this takes too much.
        size -= sum(len(orjson.dumps(image)) - 1 for image in images.exact.values())
    return size


def _added_by_escapes(checked: Checked, typed_lines: Iterable[bytes]) -> int | None:
    """Bytes that escapes outside of nested values add, where each adds one; None if not."""
    escapes = _escapes(b"\n".join(typed_lines))
    if rb"\u" in escapes:
        return None
    inside = (
        _escapes(found.nested.text) for _, slots in checked for found in slots.values() if found.nested is not None
    )
    return len(escapes) - sum(map(len, inside))
