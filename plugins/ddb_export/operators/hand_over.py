"""The operator between exporting and converting: how far the chain reaches now, and what there is to convert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ddb_export.domain.gaps import find_gaps
from ddb_export.domain.metrics import HOLE_MINUTES, HOLES, LAG
from ddb_export.domain.planning import RunKind, output_of
from ddb_export.domain.utc import iso
from ddb_export.domain.window import minutes_of
from ddb_export.exceptions import PlanError
from ddb_export.metrics import tell_gauge
from ddb_export.operators.base import LakeOperator
from ddb_export.operators.runs import EXPORT_END_KEY, list_of, own_key, run_kind
from ddb_export.pipeline.file_groups import group_files

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.domain.ledger import Chain


class HandOverOperator(LakeOperator):
    """Derives the chain's head from the ledger, hands it over to the next run, and cuts verified exports into file groups.

    It runs whatever became of the exports, so that windows that are verified go on although another one failed; the
    run itself still fails at its end.

    Pushes ``export_end`` (scheduled runs; others under a key of their own): the head, ISO 8601; nothing without a verified
    base. Returns the file groups, ``{"export", "group", "groups", "cut"}`` each, for mapping.

    :param exports: names of the attempts that the run planned; a list, or its JSON text, as a template gives it.
    :param outputs: outputs that the table publishes.
    :param file_groups: most groups that one export's files are cut into.
    """

    template_fields: Sequence[str] = (*LakeOperator.template_fields, "exports")
    ui_color = "#9ecae1"

    def __init__(
        self, *, exports: Any, outputs: Sequence[str] = ("snapshots", "changes"), file_groups: int = 4, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.exports = exports
        self.outputs = tuple(outputs)
        self.file_groups = file_groups

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Read the ledger, push the head, return the groups; skip if the run has no plan."""
        if list_of(self.exports) is None:
            raise AirflowSkipException("the run has no plan; see the plan task's log")
        chain = self.ledger.read()
        head = iso(chain.head) if chain.head else None
        scheduled = run_kind(context) is RunKind.SCHEDULED
        if head:
            context["ti"].xcom_push(key=EXPORT_END_KEY if scheduled else own_key(context, EXPORT_END_KEY), value=head)
        self.log.info(
            "hand_over: data is complete to %s; %s", head or "nowhere yet: the base is not verified", self.lake_name
        )
        self._tell_metrics(chain)
        verified = self.ledger.verified_of(chain, planned_names(self.task_id, self.exports))
        wanted = [entry for entry in verified if output_of(entry.kind) in self.outputs]
        return [group.to_xcom() for group in group_files(wanted, self.file_groups)]

    def _tell_metrics(self, chain: Chain) -> None:
        if chain.head is None:
            return
        now = self.clock()
        holes = [hole.stretch for hole in find_gaps(chain, now).holes]
        tell_gauge(LAG, max((now - chain.head).total_seconds(), 0), table=self.lake_name)
        tell_gauge(HOLES, len(holes), table=self.lake_name)
        tell_gauge(HOLE_MINUTES, minutes_of(holes), table=self.lake_name)


def planned_names(task_id: str, exports: object) -> list[str]:
    """Return the names that the plan handed over.

    :raises PlanError: there is no plan: its task did not succeed.
    """
    names = list_of(exports)
    if not isinstance(names, list | tuple):
        raise PlanError(f"task {task_id}", "the run has no plan", "see the plan task's log, then clear it")
    return [str(name) for name in names]
