"""Keeps what the YAML gives a notifier out of messages: a webhook's address is a password, and libraries put it into their errors.

Airflow masks what is in connections. What stands in ``alerts.notifiers[].arguments`` itself it does not know, so it is told, and the
words of an error are cleaned here, because they are kept and compared beyond the log. What only names a thing stays: it is what has to
be mended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow.sdk.log import mask_secret

_NAMES = re.compile(
    r"(.*_)?(conn_id|channel|channels|to|cc|bcc|from|from_email|mail_from|region_name|target_arn|subject|title|text|message|content|body"
    r"|html_content|username|icon_emoji)"
)
"""Arguments of Airflow's notifiers that name a connection, a person or a place, or are what everybody is told."""
_TEMPLATE = re.compile(r"{{.*?}}|{%.*?%}", re.DOTALL)
_PIECES = re.compile(r"[\w-]{8,}")
_SHORTEST = 5
"""Shorter texts are words of a sentence rather than secrets; Airflow's masker leaves them too (``[logging] min_length_masked_secret``)."""


def redacted(error: Exception, arguments: Mapping[str, Any]) -> str:
    """Return an error's type and words without the secrets that its notifier's arguments may hold; Airflow's log masks these from now on too.

    :param arguments: of the notifier, as the YAML has them.
    """
    words = str(error)
    for secret in sorted(set(_secrets(arguments)), key=len, reverse=True):
        mask_secret(secret)
        words = words.replace(secret, "***")
    return f"{type(error).__name__}: {words}"


def _secrets(value: object) -> Iterator[str]:
    """Yield what may be a secret in a value; of an address also its pieces, because its path may be found alone."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if not _NAMES.fullmatch(str(name)):
                yield from _secrets(each)
    elif isinstance(value, str | int):
        for text in (part.strip() for part in _TEMPLATE.split(str(value))):
            if len(text) >= _SHORTEST:
                yield text
            if "://" in text:
                yield from _PIECES.findall(text)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _secrets(each)
