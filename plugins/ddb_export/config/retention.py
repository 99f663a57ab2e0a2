"""What users declare about how long raw exports are kept, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ddb_export.config import fields
from ddb_export.config.durations import format_duration
from ddb_export.config.explain import read_part
from ddb_export.config.problems import refuse
from ddb_export.domain.retention import TIER_TAG, Retention

_DAY = timedelta(days=1)
_IA_AT_LEAST = 30 * _DAY
_MOST_TAGS = 9


def _whole_days(value: timedelta) -> timedelta:
    if value % _DAY:
        refuse("is not a number of whole days, in which S3's lifecycle rules count", "write whole days, such as 30d")
    return value


def _object_tags(value: Mapping[str, str]) -> Mapping[str, str]:
    # S3 User Guide, "Categorizing your objects using tags": 10 tags an object, keys of 128, values of 256 characters.
    if len(value) > _MOST_TAGS:
        refuse(f"has {len(value)} tags", f"write at most {_MOST_TAGS}: an object has 10, and one is ours")
    for key, text in value.items():
        if not re.fullmatch(r"[\w .:/=+@-]{1,128}", key) or key.lower().startswith("aws:") or key == TIER_TAG:
            refuse(
                f"has the key '{key}', which cannot be used",
                "write 1 to 128 letters, digits, spaces, or + - = . _ : / @",
            )
        if not re.fullmatch(r"[\w .:/=+@-]{0,256}", text):
            refuse(
                f"has a value of '{key}' that S3 does not take",
                "write at most 256 letters, digits, spaces, or + - = . _ : / @",
            )
    return value


ObjectTags = Annotated[
    dict[str, str], AfterValidator(_object_tags), fields.Accepts("names and values in quotes, such as {team: 'shop'}")
]
# The classes that a lifecycle rule can move to and that suit files that are read rarely or never (S3 API reference, Transition).
StorageClass = Annotated[
    Literal["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"],
    fields.Accepts("STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR, GLACIER or DEEP_ARCHIVE"),
]


class TierConfiguration(BaseModel):
    """When raw data files move to a cheaper storage class."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    after: Annotated[fields.RawAge, AfterValidator(_whole_days)] = Field(
        description="How long after verification raw data files may move."
    )
    storage_class: StorageClass = Field(description="Where they move to.")

    @model_validator(mode="after")
    def _late_enough(self) -> Self:
        if self.storage_class in ("STANDARD_IA", "ONEZONE_IA") and self.after < _IA_AT_LEAST:
            refuse(
                f"is less than the 30d that S3 demands before {self.storage_class}", "write 30d or more", key="after"
            )
        return self


class RawRetentionConfiguration(BaseModel):
    """What becomes of raw data files in time."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    keep: fields.RawAge | None = Field(
        None, description="How long after verification raw data files are kept at least; null for good."
    )
    tier: TierConfiguration | None = Field(
        None, description="When they move to a cheaper storage class; null for never."
    )

    @model_validator(mode="after")
    def _tier_before_the_end(self) -> Self:
        if self.keep and self.tier and self.keep <= self.tier.after:
            after = format_duration(self.tier.after)
            refuse(f"is not longer than tier.after, {after}", f"write more than {after}, or leave tier out", key="keep")
        return self


class RetentionConfiguration(BaseModel):
    """How long raw exports are kept, and where; ``ddb-export lifecycle`` plans it and carries it out on request."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    raw: RawRetentionConfiguration = Field(
        RawRetentionConfiguration(), description="What becomes of raw data files in time; default: they stay."
    )
    object_tags: ObjectTags = Field({}, description="Tags of raw data files, for your bills and rules.")

    @model_validator(mode="before")
    @classmethod
    def _says_of_what(cls, data: Any) -> Any:
        if isinstance(data, str):
            refuse("does not say what is kept so long", f"write retention: {{raw: {{keep: {data}}}}}")
        return data

    @classmethod
    def declare(cls, document: Mapping[str, Any]) -> Self:
        """Read it in the form of the YAML files, with their errors.

        :raises ConfigurationError: the first thing that is wrong, in one line.
        """
        return read_part(cls, document, "retention")

    @property
    def retention(self) -> Retention:
        """The same for the domain."""
        tier = self.raw.tier
        return Retention(
            self.raw.keep,
            tier.after if tier else None,
            tier.storage_class if tier else None,
            dict(self.object_tags),
        )
