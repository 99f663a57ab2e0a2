"""Which entity a row is, and which columns it has: pyarrow's answer held against the rule in words, for random patterns and texts."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from ddb_export.conversion.entity_columns import EntityColumnsFinder
from ddb_export.domain.entities import Entities, EntityMatch
from ddb_export.domain.schema import Column

texts = st.text("AB#%_\\*\n\0.é", max_size=5)
COLUMNS = tuple(Column(name, name, "S", "string") for name in ("tells", "x", "y"))
matches = st.dictionaries(
    st.sampled_from("abc"), st.tuples(texts.filter(bool), st.booleans()), min_size=1, max_size=3
).map(lambda found: tuple(EntityMatch(name, text, is_pattern) for name, (text, is_pattern) in found.items()))
rows = st.lists(
    st.fixed_dictionaries({name: st.none() | texts for name in ("tells", "x", "y")}), min_size=1, max_size=12
)


def entity_of(entities: Entities, text: str | None) -> str | None:
    """The rule in words: equals first, then the pattern with most characters that are no star, then the name."""
    if text is None:
        return None
    found = []
    for each in entities.matches:
        parts = each.text.split("*") if each.is_pattern else [each.text]
        if re.fullmatch(".*".join(map(re.escape, parts)), text, re.DOTALL):
            found.append((each.is_pattern, -sum(map(len, parts)), each.name))
    return min(found)[2] if found else None


@example((EntityMatch("a", r"\#*", True),), [[{"tells": r"\#1", "x": "1", "y": None}]])
@given(matches, st.lists(rows, min_size=1, max_size=3))
def test_columns_follow_from_the_rule(declared: tuple[EntityMatch, ...], batches: list[list[dict[str, Any]]]) -> None:
    entities = Entities("tells", declared)
    assert Entities.from_json(entities.to_json()) == entities
    assert Entities("tells", declared[::-1]).fingerprint == entities.fingerprint
    finder = EntityColumnsFinder(entities, COLUMNS)
    expected: dict[str, set[str]] = {each.name: set() for each in declared}
    for batch in batches:
        schema = pa.schema([(column.name, pa.string()) for column in COLUMNS])
        finder.add(pa.RecordBatch.from_pylist(batch, schema))
        for row in batch:
            if entity := entity_of(entities, row["tells"]):
                expected[entity] |= {name for name, value in row.items() if value is not None}
    assert {name: set(found) for name, found in (finder.found or {}).items()} == expected


def test_without_text_to_tell_them_nothing_is_found() -> None:
    entities = Entities("tells", (EntityMatch("a", "1"),))
    batch = pa.RecordBatch.from_pylist([{"tells": 1}])
    for columns in (COLUMNS[1:], (Column("tells", "tells", "N", "int64"),)):
        finder = EntityColumnsFinder(entities, columns)
        finder.add(batch)
        assert finder.found == {"a": []}
    assert EntityColumnsFinder(None, COLUMNS).found is None
