"""What people call a key who do not know its name yet: other tools' words, and words of every day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

_WORDS_OF_KEYS: Mapping[tuple[str, ...], str] = MappingProxyType(
    {
        ("alerts",): "callback email notifications notify on_failure_callback slack sns",
        ("aws_conn_id",): "conn connection credentials profile",
        ("bucket_owner",): "bucket_account",
        ("budget",): "limit max_cost",
        ("compaction",): "compact",
        ("database",): "catalog db glue_db",
        ("export_view", "views"): "view",
        ("filter",): "condition where",
        ("kms_key",): "encryption encryption_key key_id kms",
        ("owner",): "team",
        ("paused_at_creation",): "is_paused is_paused_upon_creation paused start_paused",
        ("prefix",): "folder path",
        ("retention",): "expire lifecycle ttl",
        ("role_arn",): "assume_role iam_role role role_name",
        ("role_arn", "bucket_owner"): "account account_id aws_account",
        ("schedule",): "cron frequency interval",
        ("sla",): "deadline freshness max_age",
        ("start_date",): "begin since start",
        ("table",): "dynamodb_table source",
        ("timezone",): "tz",
    }
)
_SAYING: Mapping[str, str] = MappingProxyType(
    {
        "role_arn": "a role of the table's account",
        "bucket_owner": "the account that owns the bucket",
        "export_view": "what an export holds of each change",
        "views": "true for helper views in Athena",
    }
)
"""What a key is for, where a word may mean one of several."""

_KEYS_OF_WORD = {word: keys for keys, words in _WORDS_OF_KEYS.items() for word in words.split()}


def keys_meant(word: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the keys that a word stands for; none if it is no word of ours, or not all of them are ``names``."""
    keys = _KEYS_OF_WORD.get(word.strip().lower().replace("-", "_").replace(" ", "_"), ())
    return keys if set(keys) <= set(names) else ()


def choice(keys: tuple[str, ...]) -> str:
    """Return the keys as they go on after "write": one alone, several with what each is for."""
    if len(keys) == 1:
        return f"'{keys[0]}'"
    return " or ".join(f"'{key}' ({_SAYING[key]})" for key in keys)
