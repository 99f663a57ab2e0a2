"""Switches, per account: how the lab behaves where AWS's behaviour is not confirmed, and how large its exports are.

Each switch that stands for an unconfirmed behaviour can be turned both ways, so that the provider is tested against
every reading. README.md lists them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

CHOICES: dict[str, tuple[str, ...]] = {
    "checksum_suffix": ("md5", "checksum", "both", "none"),
    "incremental_pitr_off_error": ("PointInTimeRecoveryUnavailableException", "InvalidExportTimeException"),
    "deleted_table_export": ("COMPLETED", "FAILED"),
}


class SettingError(ValueError):
    """A setting that does not exist or a value that it cannot take; the message names both."""


@dataclass(frozen=True)
class Settings:
    """All switches of one account. Booleans and choices are the unconfirmed behaviours; numbers are sizes and times."""

    manifest_key_includes_prefix: bool = True
    checksum_suffix: str = "md5"
    write_timestamp_bare_string: bool = False
    emit_unchanged_items: bool = True
    numbers_with_exponents: bool = False
    incremental_pitr_off_error: str = "PointInTimeRecoveryUnavailableException"
    full_summary_has_export_type: bool = False
    filtered_summary_has_filter: bool = False
    incremental_times_keep_fractions: bool = False
    deleted_table_export: str = "COMPLETED"
    started_marker: bool = True
    full_export_lag_seconds: int = 300
    export_seconds: float | None = None
    data_files: int = 4
    part_bytes: int = 64 * 1024 * 1024
    concurrent_exports: int = 300
    time_to_live_delay_seconds: int = 0

    def changed(self, values: dict[str, Any]) -> Settings:
        """A copy with ``values``; raises :class:`SettingError` for an unknown name or an impossible value."""
        known = {field.name for field in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise SettingError(f"there is no setting {name!r}; the settings are {', '.join(sorted(known))}")
            _check(name, value, getattr(Settings(), name))
        return replace(self, **values)

    def as_dict(self) -> dict[str, Any]:
        """All switches by name."""
        return asdict(self)


def _check(name: str, value: object, default: object) -> None:
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise SettingError(f"the setting {name} takes one of {', '.join(CHOICES[name])}, not {value!r}")
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise SettingError(f"the setting {name} takes true or false, not {value!r}")
    elif name == "export_seconds" and value is None:
        return
    elif isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise SettingError(f"the setting {name} takes a number that is not negative, not {value!r}")
    elif isinstance(default, int) and not isinstance(value, int):
        raise SettingError(f"the setting {name} takes a whole number, not {value!r}")
    elif name == "data_files" and value < 1:
        raise SettingError("the setting data_files takes at least 1")


class SettingsByAccount:
    """The settings of each account; an account that changed nothing has the defaults of the server."""

    def __init__(self) -> None:
        self._defaults = Settings()
        self._accounts: dict[str, dict[str, Any]] = {}

    def of(self, account: str | None) -> Settings:
        """The settings of ``account`` (None: the defaults)."""
        return self._defaults.changed(self._accounts.get(account, {}) if account else {})

    def change(self, account: str | None, values: dict[str, Any]) -> Settings:
        """Change settings of one account, or (None) the defaults of all, and return the result."""
        if account is None:
            self._defaults = self._defaults.changed(values)
        else:
            self.of(account).changed(values)
            self._accounts.setdefault(account, {}).update(values)
        return self.of(account)

    def forget(self, account: str | None) -> None:
        """Back to the defaults, for one account or (None) for all."""
        if account is None:
            self._defaults = Settings()
            self._accounts.clear()
        else:
            self._accounts.pop(account, None)
