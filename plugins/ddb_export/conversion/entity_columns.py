"""Which columns the rows of each entity have: found batch by batch while a data file is converted.

What is known is not asked again, so that after the first batches next to nothing is left to ask. Rows that were removed have their keys
only, which every entity's views show anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from ddb_export.domain.entities import Entities
    from ddb_export.domain.schema import Column


class EntityColumnsFinder:
    """Finds them.

    :param entities: None if none are declared; then nothing is done. :param columns: the attribute columns of the batches.
    """

    def __init__(self, entities: Entities | None, columns: Sequence[Column]) -> None:
        self._entities = entities
        by_attribute = {column.attribute: column for column in columns}
        tells = by_attribute.get(entities.attribute) if entities else None
        self._tells = tells.name if tells and tells.dynamodb_type == "S" else None
        self._unknown = (
            {match.name: {column.name for column in columns} for match in entities.matches} if entities else {}
        )
        self._columns = [column.name for column in columns]

    @property
    def found(self) -> dict[str, list[str]] | None:
        """Entity → names of its columns, in the order of the schema; None where none are declared."""
        if self._entities is None:
            return None
        return {
            entity: [name for name in self._columns if name not in unknown] for entity, unknown in self._unknown.items()
        }

    def add(self, batch: pa.RecordBatch) -> None:
        """Look at rows."""
        if self._entities is None or self._tells is None or not any(self._unknown.values()):
            return
        texts = batch.column(self._tells)
        free = pc.is_valid(texts)
        for match in self._entities.ordered:
            if not self._unknown[match.name] and match is self._entities.ordered[-1]:
                return
            matches = (
                pc.match_substring_regex(texts, match.regular_expression)
                if match.is_pattern
                else pc.equal(texts, match.text)
            )
            of_entity = pc.and_(free, pc.fill_null(matches, False))
            free = pc.and_not(free, of_entity)
            if self._unknown[match.name] and pc.any(of_entity).as_py():
                self._unknown[match.name] -= {
                    name
                    for name in self._unknown[match.name]
                    if pc.any(pc.and_(of_entity, batch.column(name).is_valid())).as_py()
                }
