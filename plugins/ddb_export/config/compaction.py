"""What users declare about small files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from ddb_export.config import fields
from ddb_export.config.problems import refuse
from ddb_export.config.sizes import ACCEPTED, PATTERN, format_size, parse_size
from ddb_export.domain.compaction import LARGEST_TARGET, SMALLEST_TARGET, TARGET_FILE_BYTES


def _size(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError:
            refuse("is not a size")
    return value


def _within(value: int) -> int:
    if not SMALLEST_TARGET <= value <= LARGEST_TARGET:
        limits = f"{format_size(SMALLEST_TARGET)} and {format_size(LARGEST_TARGET)}"
        refuse(f"is not between {limits}", f"write a size between {limits}")
    return value


FileSize = Annotated[
    int,
    BeforeValidator(_size),
    AfterValidator(_within),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": PATTERN}]}),
    fields.Accepts(ACCEPTED),
]
CompactionPolicy = Annotated[Literal["by_request", "automatic"], fields.Accepts("by_request or automatic")]


class CompactionConfiguration(BaseModel):
    """When the many small files of a partition become few large ones, and how large."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    policy: CompactionPolicy = Field(
        "by_request", description="When partitions are compacted: by request, or by each run within the budget."
    )
    target_file_bytes: FileSize = Field(TARGET_FILE_BYTES, description="Size that files are merged up to.")

    @model_validator(mode="before")
    @classmethod
    def _says_of_what(cls, data: Any) -> Any:
        if data in ("by_request", "automatic"):
            refuse("does not say what it is", f"write compaction: {{policy: {data}}}")
        return data
