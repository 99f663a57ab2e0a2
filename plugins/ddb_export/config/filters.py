"""The ``filter`` block of a table: what of it is exported, as YAML says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ddb_export.config.fields import Accepts
from ddb_export.config.problems import refuse
from ddb_export.domain.export_filter import ExportFilter
from ddb_export.exceptions import ConfigurationError

Expression = Annotated[
    str | None, Accepts("an expression of DynamoDB's, such as '#s = :open', with its names and values beside it")
]
Names = Annotated[Mapping[str, str], Accepts("a mapping such as {'#s': status}")]
Values = Annotated[
    Mapping[str, Any], Accepts("a mapping of DynamoDB JSON, such as {':open': {S: open}} or {':least': {N: '5'}}")
]


class FilterConfiguration(BaseModel):
    """What of a table is exported; AWS's FilterSpecification. A filtered lake is no replica of its table."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    expression: Expression = Field(None, description="Condition that an item must meet (FilterExpression).")
    projection: Expression = Field(
        None, description="Attributes that are exported, with commas between them (ProjectionExpression)."
    )
    key_condition: Expression = Field(
        None, description="One partition key, perhaps with a comparison of the sort key (KeyConditionExpression)."
    )
    names: Names = Field(
        default_factory=dict, description="'#name' → the attribute that it stands for (ExpressionAttributeNames)."
    )
    values: Values = Field(
        default_factory=dict,
        description="':value' → DynamoDB JSON; numbers in quotes (ExpressionAttributeValues).",
    )

    @model_validator(mode="after")
    def _could_be_taken(self) -> Self:
        try:
            _ = self.export_filter
        except ConfigurationError as error:
            own = error.thing in self.model_fields_set
            refuse(error.cause, error.remedy, key=error.thing if own else None)
        return self

    @property
    def export_filter(self) -> ExportFilter:
        """The filter as exports are asked for with.

        :raises ConfigurationError: DynamoDB could not take it.
        """
        return ExportFilter.of(**{name: getattr(self, name) for name in type(self).model_fields})
