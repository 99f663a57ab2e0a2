"""ExportTableToPointInTime: the parameters, their constraints and couplings, before any table is looked at.

Sources: constraints and enums from the botocore model; messages and couplings from probes of the live service.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from local_aws import hooks
from local_aws.clock import SECOND
from local_aws.tables import ApiError

FULL = "FULL_EXPORT"
INCREMENTAL = "INCREMENTAL_EXPORT"
NEW_AND_OLD_IMAGES = "NEW_AND_OLD_IMAGES"
TABLE_ARN = re.compile(r"^arn:aws[a-z-]*:dynamodb:([a-z0-9-]+):([0-9]{12}):table/([A-Za-z0-9_.-]{3,255})$")

_CONSTRAINTS: tuple[tuple[str, int, int, str | None], ...] = (
    ("TableArn", 1, 1024, None),
    ("S3Bucket", 0, 255, r"^[a-z0-9A-Z]+[\.\-\w]*[a-z0-9A-Z]+$"),
    ("ClientToken", 1, 10_000, r"^[^\$]+$"),
    ("S3BucketOwner", 12, 12, r"[0-9]{12}"),
    ("S3Prefix", 1, 1024, None),
    ("S3SseKmsKeyId", 1, 2048, None),
)
_ENUMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ExportFormat", ("DYNAMODB_JSON", "ION")),
    ("ExportType", (FULL, INCREMENTAL)),
    ("S3SseAlgorithm", ("AES256", "KMS")),
)
EXPRESSIONS = ("FilterExpression", "ProjectionExpression", "KeyConditionExpression")
_PLACEHOLDER = re.compile(r"[#:][A-Za-z0-9_]+")
VIEW_TYPES = ("NEW_IMAGE", NEW_AND_OLD_IMAGES)


@dataclass(frozen=True)
class ExportRequest:
    """A request that passed all checks of its parameters; times in microseconds, None where not given."""

    parameters: dict[str, Any]
    region: str
    account: str
    table_name: str
    export_type: str
    export_time: int | None
    from_time: int | None
    to_time: int | None
    view: str

    def __getitem__(self, name: str) -> Any:
        return self.parameters.get(name)

    @property
    def incremental(self) -> bool:
        """Whether an incremental export is asked for."""
        return self.export_type == INCREMENTAL


def checked(data: dict[str, Any]) -> ExportRequest:
    """The request in ``data``; raises :class:`ApiError` (ValidationException) as AWS does."""
    _check_constraints(data)
    _check_filter(data)
    specification = data.get("IncrementalExportSpecification")
    _check_couplings(data, specification)
    arn = TABLE_ARN.match(data["TableArn"])
    if arn is None:
        raise ApiError("ValidationException", "tableArn is not a valid ARN")
    window = specification or {}
    if specification is not None and window.get("ExportFromTime") is None:
        raise ApiError("ValidationException", "ExportFromTime must be provided")
    return ExportRequest(
        parameters={name: value for name, value in data.items() if value is not None},
        region=arn.group(1),
        account=arn.group(2),
        table_name=arn.group(3),
        export_type=data.get("ExportType") or FULL,
        export_time=micros(data.get("ExportTime")),
        from_time=micros(window.get("ExportFromTime")),
        to_time=micros(window.get("ExportToTime")),
        view=window.get("ExportViewType") or NEW_AND_OLD_IMAGES,
    )


def micros(epoch_seconds: float | None) -> int | None:
    """Microseconds from a time as the wire carries it (epoch seconds, perhaps with a fraction)."""
    return None if epoch_seconds is None else round(epoch_seconds * SECOND)


def _check_constraints(data: dict[str, Any]) -> None:
    failures = []
    for name, shortest, longest, pattern in _CONSTRAINTS:
        value = data.get(name)
        if value is None:
            if name in ("TableArn", "S3Bucket"):
                failures.append(_failure("null", name, "Member must not be null", quote=False))
        elif len(value) < shortest:
            failures.append(_failure(value, name, f"Member must have length greater than or equal to {shortest}"))
        elif len(value) > longest:
            failures.append(_failure(value, name, f"Member must have length less than or equal to {longest}"))
        elif pattern and not re.fullmatch(pattern, value):
            failures.append(_failure(value, name, f"Member must satisfy regular expression pattern: {pattern}"))
    for name, values in _ENUMS:
        failures += _enum_failures(data.get(name), _member(name), values)
    view = (data.get("IncrementalExportSpecification") or {}).get("ExportViewType")
    failures += _enum_failures(view, "incrementalExportSpecification.exportViewType", VIEW_TYPES)
    if failures:
        counted = f"{len(failures)} validation error{'s' if len(failures) > 1 else ''} detected: "
        raise ApiError("ValidationException", counted + "; ".join(failures))


def _enum_failures(value: str | None, member: str, values: tuple[str, ...]) -> list[str]:
    if value is None or value in values:
        return []
    allowed = ", ".join(values)
    return [
        f"Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy enum value set: [{allowed}]"
    ]


def _failure(value: str, name: str, rule: str, *, quote: bool = True) -> str:
    shown = f"'{value}'" if quote else value
    return f"Value {shown} at '{_member(name)}' failed to satisfy constraint: {rule}"


def _member(name: str) -> str:
    return name[0].lower() + name[1:]


def _check_couplings(data: dict[str, Any], specification: dict[str, Any] | None) -> None:
    export_type = data.get("ExportType")
    if specification is not None and export_type is None:
        message = "Export Type expected to be Incremental Export when incremental export specification is provided"
    elif specification is not None and export_type == FULL:
        message = "When Export Type is Full Export , Incremental Export Specification should not be provided"
    elif specification is None and export_type == INCREMENTAL:
        message = "Incremental Export Specification expected when export type is set as Incremental Export"
    elif export_type == INCREMENTAL and data.get("ExportTime") is not None:
        # ASSUMPTION: no probe isolated this pair; refused, so that nobody relies on it.
        message = "When Export Type is Incremental Export, Export Time should not be provided"
    elif data.get("S3SseKmsKeyId") is not None and data.get("S3SseAlgorithm") != "KMS":
        message = "KMS Key Id is not supported for this encryption type"
    else:
        return
    raise ApiError("ValidationException", message)


def _check_filter(data: dict[str, Any]) -> None:
    filter_specification = data.get("FilterSpecification")
    if filter_specification is not None and not any(filter_specification.get(name) for name in EXPRESSIONS):
        # ASSUMPTION: the text; that an empty structure is refused is from a probe.
        raise ApiError("ValidationException", "FilterSpecification must contain at least one expression")
    if filter_specification is not None:
        try:
            _try_expressions(filter_specification)
        except ValueError as error:
            # ASSUMPTION: expressions are looked at when the export is asked for, with the errors of Scan and Query.
            raise ApiError("ValidationException", str(error)) from error


def _try_expressions(specification: dict[str, Any]) -> None:
    """Let each expression work on an item without attributes; raises ValueError with the text that Scan would give."""
    dynamodb = hooks.dynamodb()
    names = specification.get("ExpressionAttributeNames") or {}
    values = specification.get("ExpressionAttributeValues") or {}
    texts = {name: specification[name] for name in EXPRESSIONS if specification.get(name)}
    used = set(_PLACEHOLDER.findall(" ".join(texts.values())))
    for kind, declared in (("Names", names), ("Values", values)):
        if unused := sorted(set(declared) - used):
            raise ValueError(
                f"Value provided in ExpressionAttribute{kind} unused in expressions: keys: {{{unused[0]}}}"
            )
    for slot in ("KeyConditionExpression", "FilterExpression"):
        if slot in texts:
            dynamodb._evaluate_condition(texts[slot], {}, values, names, slot)
    if "ProjectionExpression" in texts:
        dynamodb._project_item({}, texts["ProjectionExpression"], names)
