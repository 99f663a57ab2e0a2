"""Gives a notice to notifiers of Airflow, whichever they are.

A notifier is named by its class's path. Where its arguments leave out a subject or a message, the notice's own is filled in under
the names that the class gives them; what the user wrote is left as it is, and may be a template over ``notice``.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseNotifier
from airflow.sdk.configuration import conf

from ddb_export.domain.notices import Notice
from ddb_export.exceptions import ConfigurationError, DdbExportError, NotReachableError
from ddb_export.notifiers.redaction import redacted
from ddb_export.pipeline.incidents import NotAllToldError

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol as RuntimeTaskInstance

    from ddb_export.pipeline.alerting import Looked

_log = logging.getLogger(__name__)

_FILLED = {
    "subject": "{{ notice.subject }}",
    "title": "{{ notice.subject }}",
    "message": "{{ notice.text }}",
    "text": "{{ notice.text }}",
    "content": "{{ notice.text }}",
    "body": "{{ notice.text }}",
    "html_content": "{{ notice.html }}",
}
"""By name of an argument: what it is filled with. A template, so that nothing in the notice itself is taken for one."""


_RUNS_LOOKED_AT = 48


def dag_link(dag_id: str, run_id: str | None = None) -> str | None:
    """Return where Airflow shows a DAG's runs, or one of them; None if the installation does not say where it is (``[api] base_url``).

    :param run_id: the run; None for all.
    """
    base = conf.get("api", "base_url", fallback="")
    if not base:
        return None
    runs = f"{base.rstrip('/')}/dags/{quote(dag_id, safe='')}/runs"
    return f"{runs}/{quote(run_id, safe='')}" if run_id else runs


def late_run_link(dag_id: str, ti: RuntimeTaskInstance, looked: Looked) -> str | None:
    """Return where Airflow shows the newest run that failed to bring what is missing, else the newest that should have; else all runs.

    Airflow's own interface for tasks is asked (``RuntimeTaskInstance.get_task_states``), because a task may not read its database.
    It finds runs by their logical dates: those of the windows behind the last good one. Runs by hand have none.

    :param ti: the task instance that asks. :param looked: what was found about the table.
    """
    if not looked.findings or looked.last_good is None or dag_link(dag_id) is None:
        return dag_link(dag_id)
    step = looked.last_window.length if looked.last_window else None
    behind = [looked.last_good + n * step for n in range(_RUNS_LOOKED_AT)] if step else [looked.last_good]
    missing = [each for each in behind if each < looked.now]
    try:
        runs = ti.get_task_states(dag_id, logical_dates=missing) if missing else {}
    except Exception as error:  # noqa: BLE001  # a notice without the run is better than none
        _log.warning("DAG %s: its runs cannot be asked for (%s: %s)", dag_id, type(error).__name__, error)
        return dag_link(dag_id)
    failed = [run_id for run_id, states in runs.items() if "failed" in states.values()]
    return dag_link(dag_id, max(failed or runs, default=None))


def send(notice: Notice, notifiers: Sequence[Mapping[str, Any]], context: Mapping[str, Any]) -> None:
    """Give a notice to the notifiers that have not taken it yet.

    :param notifiers: ``{"notifier": path of a class, "arguments": {...}}`` each.
    :param context: of the task or callback; templates see it beside ``notice``.
    :raises NotAllToldError: one cannot be made, or could not tell; all others have been told, and the error names them.
    """
    taken_by: list[str] = []
    failures: list[DdbExportError] = []
    for each in notifiers:
        identity = identity_of(each)
        if identity in notice.taken_by:
            continue
        try:
            notifier = make_notifier(each["notifier"], each["arguments"])
            _tell(notifier, each, {**context, "notice": notice})
        except (ConfigurationError, NotReachableError) as error:
            _log.error("%s", error)  # one line; the cause is in the message
            failures.append(error)
        else:
            taken_by.append(identity)
    if failures:
        raise NotAllToldError.of(failures[0], taken_by) from failures[0]


def identity_of(notifier: Mapping[str, Any]) -> str:
    """Return the name by which a notifier is remembered: its path and a digest of its arguments, which may hold secrets."""
    arguments = json.dumps(notifier["arguments"], sort_keys=True, default=str)
    return f"{notifier['notifier']}:{sha256(arguments.encode()).hexdigest()[:16]}"


def make_notifier(path: str, arguments: Mapping[str, Any]) -> BaseNotifier:
    """Return a notifier with the notice filled in where its arguments say nothing.

    :param path: dotted path of its class.
    :raises ConfigurationError: there is no such class, or it does not take these arguments.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"notifier {path}", f"it cannot be imported ({error})", "install its provider, or mend its path"
        ) from error
    if not (inspect.isclass(found) and issubclass(found, BaseNotifier)):
        raise ConfigurationError(
            f"notifier {path}", "it is no notifier of Airflow", "name a class below airflow.sdk.BaseNotifier"
        )
    names = inspect.signature(found.__init__).parameters
    filled = {name: template for name, template in _FILLED.items() if name in names}
    try:
        return found(**{**filled, **arguments})
    except TypeError as error:
        raise ConfigurationError(
            f"notifier {path}", f"it does not take its arguments ({error})", "mend 'arguments' below alerts.notifiers"
        ) from error


def _tell(notifier: BaseNotifier, declared: Mapping[str, Any], context: dict[str, Any]) -> None:
    try:
        notifier(context)
    except Exception as error:
        # Whatever a notifier raises is one channel's failure; a later check tells it the same incident.
        raise NotReachableError(
            f"notifier {declared['notifier']}",
            f"it could not tell ({redacted(error, declared['arguments'])})",
            "mend its connection or its arguments; a later check tells it again",
        ) from error
