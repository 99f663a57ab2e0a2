"""What each Airflow run did: figures from the table's ledger, joined with the run by what its plan task handed over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ddb_export.domain.ledger import Chain, ClaimKind, FailedEntry, VerifiedEntry, subject_of
from ddb_export.domain.utc import iso
from demo.errors import DemoError

if TYPE_CHECKING:
    from ddb_export.pipeline.ledger import Ledger
    from demo.airflow_api import AirflowApi
    from demo.cloud import Cloud

KINDS = {ClaimKind.BASE: "base", ClaimKind.WINDOW: "incremental"}


@dataclass(frozen=True, slots=True)
class RunFigures:
    """One run, as demo.json has it.

    :param kind: ``base`` or ``incremental``.
    :param start: inclusive start of the window, ISO 8601; None for the base.
    :param end: exclusive end of the window, or the moment of the base.
    :param attempts: how many exports were started for it; the failed ones are in ``failed_export_arns``.
    :param items: records of the export; ``bytes`` size of its data files; ``billed_bytes`` what AWS bills.
    :param partitions: what was registered in Glue, as paths below the table's folder.
    """

    run_id: str
    kind: str
    start: str | None
    end: str
    export_arn: str
    attempts: int
    failed_export_arns: list[str]
    items: int
    bytes: int
    billed_bytes: int
    partitions: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the object of demo.json."""
        return asdict(self)


def figures_of(api: AirflowApi, cloud: Cloud, dag_id: str, run_ids: Sequence[str]) -> list[RunFigures]:
    """Return what runs did, in the order of their data.

    :raises DemoError: a run has not exactly one verified export.
    """
    chain = cloud.ledger.read_every_object()
    failed = list(read_failed(cloud))
    planned = {run_id: api.xcom(dag_id, run_id, "plan", "exports") for run_id in run_ids}
    return [_figures(run_id, names, chain, failed, cloud.ledger) for run_id, names in planned.items()]


def read_failed(cloud: Cloud) -> Iterable[FailedEntry]:
    """Return the ledger's evidence of attempts that FAILED."""
    for stored in cloud.store.list_objects(f"{cloud.lake.ledger}/failed/"):
        yield FailedEntry.from_json(json.loads(cloud.store.read(stored.key).content))


def _figures(
    run_id: str, names: Sequence[str], chain: Chain, failed: Iterable[FailedEntry], ledger: Ledger
) -> RunFigures:
    subjects = [subject_of(name) for name in names]
    verified = [chain.verified_subjects[subject] for subject in subjects if subject in chain.verified_subjects]
    if len(verified) != 1:
        raise DemoError(
            f"run {run_id}", f"it has {len(verified)} verified exports of {names}, not one", "see its tasks in Airflow"
        )
    entry = verified[0]
    published = [ledger.published_entry(output, export) for output, export in chain.published if export == entry.export]
    return RunFigures(
        run_id=run_id,
        kind=KINDS[entry.kind],
        start=iso(entry.start) if entry.start else None,
        end=iso(_end(entry)),
        export_arn=entry.export_arn,
        attempts=chain.newest_attempts[entry.subject].attempt,
        failed_export_arns=[each.export_arn for each in failed if subject_of(each.export) == entry.subject],
        items=entry.item_count,
        bytes=entry.bytes_read,
        billed_bytes=entry.billed_bytes,
        partitions=sorted({each.partition for each in published if each}),
    )


def _end(entry: VerifiedEntry) -> datetime:
    end = entry.end or entry.export_time
    assert end is not None
    return end


def problems_of(
    runs: Sequence[RunFigures],
    exports: Sequence[Mapping[str, Any]],
    *,
    head: datetime | None,
    until: datetime,
    failing: str,
) -> dict[str, str | None]:
    """Hold what the runs did against what must be; return what was checked, and what is wrong with it (None: it holds).

    :param exports: the lab's own record.
    :param head: how far the ledger says that the chain reaches.
    :param until: how far it must.
    :param failing: name of the attempt that had to fail.
    """
    return {
        "base and windows follow each other without a gap": _gaps(runs),
        f"the ledger's head is {iso(until)}": _unless(head == until, f"it is {head}"),
        "billed bytes equal the lab's record of COMPLETED exports": _billed(runs, exports),
        "one export failed and healed by a second attempt, under a new token and prefix": _healed(
            runs, exports, failing
        ),
        "each run registered its partition": _unless(all(run.partitions for run in runs), "a run has none"),
    }


def _unless(holds: bool, words: str) -> str | None:  # noqa: FBT001  # it is what is looked at
    return None if holds else words


def _gaps(runs: Sequence[RunFigures]) -> str | None:
    for before, after in pairwise(runs):
        if before.end != after.start:
            return f"{before.run_id} ends at {before.end}, {after.run_id} begins at {after.start}"
    kinds = [run.kind for run in runs]
    return _unless(kinds == ["base"] + ["incremental"] * (len(runs) - 1), f"the runs are {kinds}")


def _billed(runs: Sequence[RunFigures], exports: Sequence[Mapping[str, Any]]) -> str | None:
    ours = sorted((run.export_arn, run.billed_bytes) for run in runs)
    labs = sorted((each["export_arn"], each["billed_size_bytes"]) for each in exports if each["status"] == "COMPLETED")
    return _unless(ours == labs, f"runs have {ours}, the lab has {labs}")


def _healed(runs: Sequence[RunFigures], exports: Sequence[Mapping[str, Any]], failing: str) -> str | None:
    failed = [each for each in exports if each["status"] == "FAILED"]
    ours = [arn for run in runs for arn in run.failed_export_arns]
    if [each["export_arn"] for each in failed] != ours or len(ours) != 1:
        return f"the lab has {len(failed)} FAILED exports, the ledger {ours}"
    if not failed[0]["prefix"].endswith(f"/{failing}"):
        return f"{failed[0]['prefix']} failed, not {failing}"
    run = next(run for run in runs if run.failed_export_arns)
    second = next(each for each in exports if each["export_arn"] == run.export_arn)
    differs = all(failed[0][name] != second[name] for name in ("client_token", "prefix"))
    return _unless(differs and run.attempts == 2, f"attempt {run.attempts} has the token or prefix of the first")
