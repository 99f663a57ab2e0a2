"""Permissions that were taken away from an account, to see what the provider says when it lacks them.

A rule is an IAM action, or an action and a resource ARN separated by a space; both may hold ``*`` and ``?``.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

RULE = re.compile(r"^[a-z0-9*-]+:[A-Za-z0-9*?]+( \S+)?$|^\*$")


class RuleError(ValueError):
    """A rule that is no action pattern; the message says what one looks like."""


class Permissions:
    """The deny rules of each account; what no rule denies is allowed."""

    def __init__(self) -> None:
        self._denied: dict[str, list[str]] = {}

    def deny(self, account: str, rules: list[str]) -> None:
        """Replace the account's rules; an empty list allows everything again. Raises :class:`RuleError`."""
        for rule in rules:
            if not RULE.match(rule):
                raise RuleError(
                    f"{rule!r} is no rule: write 'glue:CreateTable' or 's3:PutObject arn:aws:s3:::bucket/*'"
                )
        self._denied[account] = list(rules)

    def of(self, account: str) -> list[str]:
        """The account's rules."""
        return list(self._denied.get(account, ()))

    def allows(self, account: str, action: str, resource: str) -> bool:
        """Whether no rule of the account denies the action on the resource."""
        for rule in self._denied.get(account, ()):
            pattern, _space, resource_pattern = rule.partition(" ")
            if fnmatchcase(action, pattern) and fnmatchcase(resource, resource_pattern or "*"):
                return False
        return True

    def forget(self, account: str | None) -> None:
        """Allow one account (None: all) everything again."""
        if account is None:
            self._denied.clear()
        else:
            self._denied.pop(account, None)
