"""A worker is lost while it asks for exports: the moment at which who forgets what was claimed, or does not look, has DynamoDB bill twice.

The lab keeps calls of ExportTableToPointInTime on their way, before they take effect. A worker that waits for several is held still. Then
every other one of its calls is let through: DynamoDB accepts it, and nobody hears the answer. The worker is killed; the rest of its calls
arrive as late as can be, after whoever begins their tasks again has asked anew. So each of the guards stands alone once:

- *not heard*: the export exists. It must be found again, without a second call.
- *late*: there is nothing to find when the task is begun again. Only the client token, the same as that of the late call, keeps it one export.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from demo.airflow_api import Json
from local_aws.client import Lab
from tests.celery.loss import Loss, Lost, name_of

_OPERATION = "ExportTableToPointInTime"
_TASKS = {"FULL_EXPORT": "export_base", "INCREMENTAL_EXPORT": "window.export"}
_EACH_WAY = 2
"""A worker must wait for so many calls: one that is not heard, one that is late."""

_FULL_SECONDS = 20.0
"""How long a worker is waited for until it waits for calls with all its processes; those of botocore time out after 60."""

_ACCEPTED_SECONDS = 10.0


def keep_calls_back(lab: Lab, account: str, after: int, most: int) -> frozenset[str]:
    """Let that many calls of all tables pass, and keep the next ones on their way; return the faults that keep one each.

    :param most: how many are kept; those behind them pass again.
    """
    return frozenset(
        lab.add_fault("hold", account=account, service="dynamodb", operation=_OPERATION, when="before", skip=after)
        for _ in range(most)
    )


@dataclass(frozen=True)
class Asked:
    """A call that the lab keeps on its way.

    :param fault: that keeps it. :param prefix: of the attempt that it asks for. :param task: that waits for it.
    """

    fault: str
    prefix: str
    task: Json


@dataclass(frozen=True)
class LostAsking:
    """What a worker ran when it was killed, and which of its calls were not heard, and which are late."""

    lost: Lost
    unheard: list[Asked]
    late: list[Asked]


@dataclass
class AskingLoss:
    """The loss of one worker while it asks.

    :param loss: of the worker. :param account: whose calls are kept back. :param kept: faults of the lab that keep a call each.
    :param processes: how many tasks the worker runs at once.
    """

    loss: Loss
    lab: Lab
    account: str
    kept: frozenset[str]
    processes: int
    _first_seen: float | None = None

    def kill_while_it_asks(self) -> LostAsking | None:
        """Kill the worker once it waits for calls with all its processes, or has waited long for two; else return nothing, to be asked again."""
        if not self._is_time(len(self._asked(self.loss.tasks()))):
            return None
        tasks = self.loss.held_still()
        asked = self._asked(tasks)
        if len(asked) < _EACH_WAY:
            self.loss.processes.release(self.loss.worker)
            return None
        unheard, late = asked[::_EACH_WAY], asked[1::_EACH_WAY]
        for each in unheard:
            self.lab.remove_fault(each.fault)
        self._wait_until_accepted(unheard)
        lost = self.loss.kill(tasks)
        for fault in self.kept - {each.fault for each in (*unheard, *late)}:
            self.lab.remove_fault(fault)
        return LostAsking(lost, unheard, late)

    def have_arrived(self, asking: LostAsking) -> bool:
        """Let each late call go once its task's next try has asked; tell whether all of them have arrived."""
        calls = self._accepted()
        kept = {fault["id"] for fault in self.lab.faults(self.account)}
        for each in asking.late:
            if each.fault in kept and calls.get(each.prefix):
                self.lab.remove_fault(each.fault)
        return all(len(calls.get(each.prefix, ())) >= _EACH_WAY for each in asking.late)

    def require_one_export_each(self, asking: LostAsking) -> str:
        """Return in words how the lost calls ended.

        :raises AssertionError: an export that was not heard was asked for again, or a late call began one more.
        """
        calls = self._accepted()
        billed = Counter(each["prefix"].strip("/") for each in self.lab.exports(self.account))
        wrong = [
            *(
                f"{name_of(each.task)}: its export existed, and was asked for {len(calls[each.prefix])} times"
                for each in asking.unheard
                if len(calls[each.prefix]) > 1
            ),
            *(
                f"{name_of(each.task)}: its late call and its next try had different client tokens"
                for each in asking.late
                if len(set(calls[each.prefix])) > 1
            ),
            *(
                f"{name_of(each.task)}: {billed[each.prefix]} exports are billed"
                for each in (*asking.unheard, *asking.late)
                if billed[each.prefix] != 1
            ),
        ]
        assert not wrong, "; ".join(wrong)
        return (
            f"{len(asking.unheard)} exports whose answer nobody heard were found again without a second call; "
            f"{len(asking.late)} calls that arrived after the next try's began nothing: one token, one export each"
        )

    def _is_time(self, waiting: int) -> bool:
        if waiting < _EACH_WAY:
            self._first_seen = None
            return False
        self._first_seen = self._first_seen or time.monotonic()
        return waiting == self.processes or time.monotonic() - self._first_seen > _FULL_SECONDS

    def _asked(self, tasks: list[Json]) -> list[Asked]:
        """Return the calls that these tasks wait for; of several for one export the newest, as botocore has given up the others."""
        faults = [each for each in self.lab.faults(self.account) if each["id"] in self.kept and each["held"]]
        newest = {fault["caught"]["prefix"]: fault for fault in faults}
        accepted = self._accepted()
        return [
            Asked(fault["id"], prefix, task)
            for prefix, fault in newest.items()
            for task in tasks
            if prefix not in accepted and _waits_for(task, fault["caught"])
        ]

    def _accepted(self) -> dict[str, list[str]]:
        """Return the client tokens of the calls that DynamoDB accepted, by prefix."""
        found: dict[str, list[str]] = {}
        for call in self.lab.calls(self.account, operation=_OPERATION):
            if not call["error_code"]:
                found.setdefault(call["parameters"]["S3Prefix"], []).append(call["parameters"]["ClientToken"])
        return found

    def _wait_until_accepted(self, asked: list[Asked]) -> None:
        end = time.monotonic() + _ACCEPTED_SECONDS
        while missing := {each.prefix for each in asked} - self._accepted().keys():
            assert time.monotonic() < end, f"the lab does not accept {missing} within {_ACCEPTED_SECONDS:g} s"
            time.sleep(0.1)


def _waits_for(task: Json, call: Json) -> bool:
    return bool(task["dag_id"] == f"ddb_export__{call['table']}" and task["task_id"] == _TASKS[call["export_type"]])
