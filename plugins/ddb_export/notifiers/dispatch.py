"""Gives a notice to notifiers of Airflow, whichever they are.

A notifier is named by its class's path. Where its arguments leave out a subject or a message, the notice's own is filled in under
the names that the class gives them; what the user wrote is left as it is, and may be a template over ``notice``.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from airflow.sdk import BaseNotifier
from airflow.sdk.configuration import conf

from ddb_export.domain.notices import Notice
from ddb_export.exceptions import ConfigurationError, NotReachableError

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


def dag_link(dag_id: str) -> str | None:
    """Return where Airflow shows a DAG's runs; None if the installation does not say where it is (``[api] base_url``)."""
    base = conf.get("api", "base_url", fallback="")
    return f"{base.rstrip('/')}/dags/{dag_id}/runs" if base else None


def send(notice: Notice, notifiers: Sequence[Mapping[str, Any]], context: Mapping[str, Any]) -> None:
    """Give a notice to all notifiers.

    :param notifiers: ``{"notifier": path of a class, "arguments": {...}}`` each.
    :param context: of the task or callback; templates see it beside ``notice``.
    :raises ConfigurationError: one cannot be made. :raises NotReachableError: one could not tell; the others have been told.
    """
    failures: list[Exception] = []
    for each in notifiers:
        try:
            notifier = make_notifier(each["notifier"], each["arguments"])
            _tell(notifier, each["notifier"], {**context, "notice": notice})
        except (ConfigurationError, NotReachableError) as error:
            _log.error("%s", error)  # one line; the cause is in the message
            failures.append(error)
    if failures:
        raise failures[0]


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


def _tell(notifier: BaseNotifier, path: str, context: dict[str, Any]) -> None:
    try:
        notifier(context)
    except Exception as error:
        # Whatever a notifier raises is one channel's failure; the incident stays untold and is told with the next check.
        raise NotReachableError(
            f"notifier {path}",
            f"it could not tell ({type(error).__name__}: {error})",
            "mend its connection or its arguments; the next check tells again",
        ) from error
