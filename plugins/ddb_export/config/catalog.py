"""What users declare about the Glue Data Catalog."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ddb_export.config import fields
from ddb_export.config.problems import refuse


def _no_projection(value: bool) -> bool:  # noqa: FBT001  # pydantic calls it
    if value:
        refuse(
            "cannot be switched on: projection computes a partition's folder from its values alone and ignores Glue's, while"
            " each partition of this lake points at one generation of its files (docs/athena.md)",
            "write partition_index: true, which makes Glue find partitions fast",
        )
    return value


class GlueConfiguration(BaseModel):
    """How tables and partitions stand in the catalog."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    partition_index: fields.Switch = Field(
        False,
        description="Give each table an index of its partitions, and let Athena use it; for thousands of partitions.",
    )
    partition_projection: Annotated[fields.Switch, AfterValidator(_no_projection)] = Field(
        False,
        description="Athena's partition projection; cannot be switched on, because partitions point at generations.",
    )
