"""Keep an S3 lake in step with DynamoDB tables through DynamoDB's own exports: an Apache Airflow provider.

``from ddb_export import …`` holds every public name. A name is loaded when it is first used (PEP 562), so that
Airflow, which imports this package whenever it parses a DAG file, pays for nothing that the file does not use.
Everything that is not in ``__all__`` is internal and may change without notice.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddb_export.assets import asset_name as asset_name
    from ddb_export.assets import lake_asset as lake_asset
    from ddb_export.assets import output_asset as output_asset
    from ddb_export.config.json_schema import export_json_schema as export_json_schema
    from ddb_export.config.loader import load_tables as load_tables
    from ddb_export.config.model import TableConfiguration as TableConfiguration
    from ddb_export.dag_factory import build_dag as build_dag
    from ddb_export.dag_factory import export_params as export_params
    from ddb_export.dag_factory import export_task_group as export_task_group
    from ddb_export.domain.partition_key import PartitionKey as PartitionKey
    from ddb_export.exceptions import BudgetError as BudgetError
    from ddb_export.exceptions import ClaimConflictError as ClaimConflictError
    from ddb_export.exceptions import ConfigurationError as ConfigurationError
    from ddb_export.exceptions import ConversionError as ConversionError
    from ddb_export.exceptions import DdbExportError as DdbExportError
    from ddb_export.exceptions import EmptyLedgerError as EmptyLedgerError
    from ddb_export.exceptions import ExportError as ExportError
    from ddb_export.exceptions import ExportFailedError as ExportFailedError
    from ddb_export.exceptions import ExportRefusedError as ExportRefusedError
    from ddb_export.exceptions import ExportThrottledError as ExportThrottledError
    from ddb_export.exceptions import LedgerError as LedgerError
    from ddb_export.exceptions import NotReachableError as NotReachableError
    from ddb_export.exceptions import OwnershipError as OwnershipError
    from ddb_export.exceptions import PermissionDeniedError as PermissionDeniedError
    from ddb_export.exceptions import PlanError as PlanError
    from ddb_export.exceptions import PointInTimeRecoveryError as PointInTimeRecoveryError
    from ddb_export.exceptions import PreflightError as PreflightError
    from ddb_export.exceptions import PublishError as PublishError
    from ddb_export.exceptions import TableError as TableError
    from ddb_export.exceptions import TableIdentityError as TableIdentityError
    from ddb_export.exceptions import TableMissingError as TableMissingError
    from ddb_export.exceptions import UsageError as UsageError
    from ddb_export.exceptions import VerificationError as VerificationError
    from ddb_export.freshness_dag import build_freshness_dag as build_freshness_dag
    from ddb_export.hooks.lake import LakeHook as LakeHook
    from ddb_export.links.export import DynamoDBExportLink as DynamoDBExportLink
    from ddb_export.operators.announce import AnnouncePublishedOperator as AnnouncePublishedOperator
    from ddb_export.operators.check import CheckPublishedOperator as CheckPublishedOperator
    from ddb_export.operators.compact import CompactFilesOperator as CompactFilesOperator
    from ddb_export.operators.convert import ConvertDataFilesOperator as ConvertDataFilesOperator
    from ddb_export.operators.convert import MergeSchemaOperator as MergeSchemaOperator
    from ddb_export.operators.convert import ScanDataFilesOperator as ScanDataFilesOperator
    from ddb_export.operators.export import DynamoDBExportOperator as DynamoDBExportOperator
    from ddb_export.operators.freshness import CheckFreshnessOperator as CheckFreshnessOperator
    from ddb_export.operators.hand_over import HandOverOperator as HandOverOperator
    from ddb_export.operators.plan import PlanExportsOperator as PlanExportsOperator
    from ddb_export.operators.preflight import PreflightOperator as PreflightOperator
    from ddb_export.operators.publish import PublishExportsOperator as PublishExportsOperator
    from ddb_export.operators.raw_tables import RegisterRawExportsOperator as RegisterRawExportsOperator
    from ddb_export.operators.verify import VerifyExportOperator as VerifyExportOperator
    from ddb_export.operators.views import PlanViewsOperator as PlanViewsOperator
    from ddb_export.operators.widen import WidenColumnsOperator as WidenColumnsOperator
    from ddb_export.retry_policy import DdbExportRetryPolicy as DdbExportRetryPolicy
    from ddb_export.sensors.export import DynamoDBExportSensor as DynamoDBExportSensor
    from ddb_export.triggers.export import DynamoDBExportTrigger as DynamoDBExportTrigger

__version__ = "0.1.0"

_PUBLIC_NAMES: dict[str, tuple[str, ...]] = {
    "ddb_export.dag_factory": ("build_dag", "export_params", "export_task_group"),
    "ddb_export.assets": ("asset_name", "lake_asset", "output_asset"),
    "ddb_export.domain.partition_key": ("PartitionKey",),
    "ddb_export.config.model": ("TableConfiguration",),
    "ddb_export.config.json_schema": ("export_json_schema",),
    "ddb_export.config.loader": ("load_tables",),
    "ddb_export.exceptions": (
        "BudgetError",
        "ClaimConflictError",
        "ConfigurationError",
        "ConversionError",
        "DdbExportError",
        "EmptyLedgerError",
        "ExportError",
        "ExportFailedError",
        "ExportRefusedError",
        "ExportThrottledError",
        "LedgerError",
        "NotReachableError",
        "OwnershipError",
        "PermissionDeniedError",
        "PlanError",
        "PointInTimeRecoveryError",
        "PreflightError",
        "PublishError",
        "TableError",
        "TableIdentityError",
        "TableMissingError",
        "UsageError",
        "VerificationError",
    ),
    "ddb_export.freshness_dag": ("build_freshness_dag",),
    "ddb_export.hooks.lake": ("LakeHook",),
    "ddb_export.links.export": ("DynamoDBExportLink",),
    "ddb_export.operators.announce": ("AnnouncePublishedOperator",),
    "ddb_export.operators.check": ("CheckPublishedOperator",),
    "ddb_export.operators.convert": (
        "ConvertDataFilesOperator",
        "MergeSchemaOperator",
        "ScanDataFilesOperator",
    ),
    "ddb_export.operators.export": ("DynamoDBExportOperator",),
    "ddb_export.operators.freshness": ("CheckFreshnessOperator",),
    "ddb_export.operators.hand_over": ("HandOverOperator",),
    "ddb_export.operators.plan": ("PlanExportsOperator",),
    "ddb_export.operators.preflight": ("PreflightOperator",),
    "ddb_export.operators.publish": ("PublishExportsOperator",),
    "ddb_export.retry_policy": ("DdbExportRetryPolicy",),
    "ddb_export.operators.verify": ("VerifyExportOperator",),
    "ddb_export.operators.raw_tables": ("RegisterRawExportsOperator",),
    "ddb_export.operators.views": ("PlanViewsOperator",),
    "ddb_export.operators.compact": ("CompactFilesOperator",),
    "ddb_export.operators.widen": ("WidenColumnsOperator",),
    "ddb_export.sensors.export": ("DynamoDBExportSensor",),
    "ddb_export.triggers.export": ("DynamoDBExportTrigger",),
}
"""Public names by the module that defines them; the block above repeats them for type checkers (a test compares)."""

_MODULE_OF_NAME = {name: module for module, names in _PUBLIC_NAMES.items() for name in names}

__all__ = ["__version__", *sorted(_MODULE_OF_NAME)]  # noqa: PLE0604  # every element is a string


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it (PEP 562)."""
    module = _MODULE_OF_NAME.get(name)
    if module is None:
        message = f"module 'ddb_export' has no public name {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what is loaded and what can be."""
    return sorted({*globals(), *__all__})
