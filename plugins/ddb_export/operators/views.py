"""The operator that says which helper views have to be written; Airflow's own Athena operator writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ddb_export.config.contract import ContractConfiguration
from ddb_export.exceptions import TableMissingError
from ddb_export.operators.base import LakeOperator
from ddb_export.operators.runs import is_true
from ddb_export.pipeline.views import views_to_write

if TYPE_CHECKING:
    from airflow.sdk import Context


class PlanViewsOperator(LakeOperator):
    """Returns the statements of the helper views whose text, or types, are not what stands in the catalog, for mapping.

    No statement, no query: a run that changes neither columns nor the base asks Athena nothing. While columns are being widened there is
    none either.

    :param table: name or ARN of the DynamoDB table, whose key attributes tell items apart.
    :param database: Glue database of tables and views.
    :param contract: what is fixed about the columns, as in YAML; its entities have views of their own. None for nothing.
    :param dry_run_only: be skipped. Templated; ``"true"`` and ``"True"`` count.
    """

    template_fields: Sequence[str] = (*LakeOperator.template_fields, "table", "database", "dry_run_only")
    ui_color = "#6baed6"

    def __init__(
        self,
        *,
        table: str,
        database: str,
        contract: Mapping[str, Any] | None = None,
        dry_run_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contract = dict(contract or {})
        self.table = table
        self.database = database
        self.dry_run_only = dry_run_only

    def execute(self, context: Context) -> list[str]:
        """Compare, and return what to write.

        :raises PublishError: something else has the name of a view.
        """
        if is_true(self.dry_run_only):
            raise AirflowSkipException("dry run, as dry_run is true in the run's conf: no view is written")
        try:
            keys = self.hook.dynamodb.key_attributes(self.table)
        except TableMissingError:
            self.log.info("%s is gone; its views stay as they are", self.table)
            return []
        entities = ContractConfiguration.declare(self.contract).contract.entities
        views = views_to_write(self.ledger, keys, self.hook.glue, self.database, entities)
        for view in views:
            self.log.info("view %s.%s is new, or its text or its columns' types have changed", view.database, view.name)
        return [view.statement for view in views]
