"""Keeps what the YAML gives a notifier out of messages: a webhook's address is a password, and libraries put it into their errors.

Airflow masks what is in connections. What stands in ``alerts.notifiers[].arguments`` itself it does not know, so it is told, and the
words of an error are cleaned here, because they are kept and compared beyond the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow.sdk.log import mask_secret

_TEMPLATE = re.compile(r"{{.*?}}|{%.*?%}", re.DOTALL)
_PIECES = re.compile(r"[\w-]{8,}")
_SHORTEST = 5
"""Shorter texts are words of a sentence rather than secrets; Airflow's masker leaves them too (``[logging] min_length_masked_secret``)."""


def redacted(error: Exception, arguments: Mapping[str, Any]) -> str:
    """Return an error's type and words without anything that its notifier's arguments hold; Airflow's log masks it from now on too.

    :param arguments: of the notifier, as the YAML has them.
    """
    words = str(error)
    for secret in sorted(set(_secrets(arguments)), key=len, reverse=True):
        mask_secret(secret)
        words = words.replace(secret, "***")
    return f"{type(error).__name__}: {words}"


def _secrets(value: object) -> Iterator[str]:
    """Yield every text in a value, and the pieces of it that may be found alone, such as the path of an address."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _secrets(each)
    elif isinstance(value, str):
        for text in (part.strip() for part in _TEMPLATE.split(value)):
            if len(text) >= _SHORTEST:
                yield text
            yield from _PIECES.findall(text)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _secrets(each)
