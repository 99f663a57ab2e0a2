"""The lab as a whole: its parts, how they are installed into ministack, and what concerns several of them."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from typing import Any

from local_aws import glue_partitions, hooks
from local_aws.calls import Calls
from local_aws.clock import SECOND, Clock, format_micros
from local_aws.continuous_backups import ContinuousBackups
from local_aws.exports.service import Exports
from local_aws.faults import Faults
from local_aws.history import Histories
from local_aws.permissions import Permissions
from local_aws.settings import SettingsByAccount
from local_aws.time_to_live import TimeToLive

logger = logging.getLogger("local_aws.laboratory")

# The SQL engine and the Glue corrections bring their own ``install()``.
EXTENSIONS = ("local_aws.glue", "local_aws.athena")


class ClockError(ValueError):
    """The clock would run behind something that already happened; the message names both times."""


class Laboratory:
    """All parts of the lab."""

    def __init__(self, export_seconds: float) -> None:
        self.clock = Clock()
        self.settings = SettingsByAccount()
        self.faults = Faults()
        self.calls = Calls()
        self.permissions = Permissions()
        self.histories = Histories(self.clock)
        self.backups = ContinuousBackups(self.clock)
        self.time_to_live = TimeToLive(self.clock, self.histories, self.settings)
        self.exports = Exports(
            clock=self.clock,
            histories=self.histories,
            backups=self.backups,
            time_to_live=self.time_to_live,
            settings=self.settings,
            faults=self.faults,
            permitted=self.permissions.allows,
            export_seconds=export_seconds,
        )

    def install(self) -> None:
        """Put the lab's parts in the place of ministack's. Call once, before the first request."""
        dynamodb, streams, s3 = hooks.dynamodb(), hooks.module("ministack.services.dynamodb_streams"), hooks.s3()
        dynamodb.time = streams.time = self.clock
        dynamodb.now_iso = s3.now_iso = self.clock.now_iso
        self.histories.install()
        self.backups.install()
        self.time_to_live.install()
        self.exports.install()
        glue_partitions.refuse_by(self.faults)
        for name in EXTENSIONS:
            hooks.module(name).install()

    async def sweep_forever(self) -> None:
        """Remove expired items once a second; trouble with one sweep is logged and the next one runs."""
        while True:
            await asyncio.sleep(1)
            try:
                self.time_to_live.sweep()
            except Exception:
                logger.exception("the sweep of expired items failed")

    def move_clock(self, account: str | None, offset: int) -> None:
        """Set a clock's offset; raises :class:`ClockError` if it would run behind a write or an export."""
        concerned = [account] if account else [name for name in self._accounts() if self.clock.shared_by(name)]
        now = time.time_ns() // 1000 + offset
        for name in concerned:
            last = self.last_event(name)
            if now < last:
                raise ClockError(
                    f"the clock of account {name} cannot go to {format_micros(now)}: its last write, table or export "
                    f"is of {format_micros(last)}; choose a later time, or reset the account"
                )
        self.clock.set_offset(account, offset)
        self.time_to_live.sweep(account)

    def last_event(self, account: str) -> int:
        """The time of the account's last write, table creation or export; 0 if there is none."""
        exports = [export.start for export in self.exports.of(account)]
        return max(self.histories.last_event(account), max(exports, default=0))

    def clock_of(self, account: str | None) -> dict[str, Any]:
        """The clock as ``GET /_lab/clock`` shows it."""
        offset = self.clock.offset(account)
        now = self.clock.now(account) if account else time.time_ns() // 1000 + offset
        return {"account": account, "now": format_micros(now), "offset_seconds": offset / SECOND}

    async def reset(self, account: str | None) -> None:
        """Forget everything, or everything of one account."""
        self.faults.clear(account)
        self.exports.forget(account)
        self.histories.forget(account)
        async with hooks.app()._get_reset_lock():
            if account is None:
                hooks.app()._reset_all_state()
            else:
                _forget_account(account)
        self.backups.forget()
        self.settings.forget(account)
        self.permissions.forget(account)
        self.clock.forget(account)
        self.calls.clear(account)

    def _accounts(self) -> set[str]:
        return self.histories.accounts() | {export.account for export in self.exports.of(None)}


def _forget_account(account: str) -> None:
    """Take one account's entries out of every store of every service, wherever a module keeps it."""
    kinds = {hooks.responses().AccountScopedDict, hooks.responses().AccountRegionScopedDict}
    for store in [found for found in gc.get_objects() if type(found) in kinds]:
        for key in [key for key in store._data if key[0] == account]:
            store._data.pop(key, None)
