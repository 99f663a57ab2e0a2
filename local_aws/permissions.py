"""What an account may do: permissions that were taken away, and policies that allow nothing but what they say.

A rule takes away: an IAM action, or an action and a resource ARN separated by a space; both may hold ``*`` and ``?``. A policy is an IAM
policy document of an identity. Sources: IAM user guide, "Policy evaluation logic" (an explicit deny wins, what nothing allows is denied) and
"IAM JSON policy elements" (wildcards, ``${*}``, actions without regard to case).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

RULE = re.compile(r"^[a-z0-9*-]+:[A-Za-z0-9*?]+( \S+)?$|^\*$")
_STATEMENT = frozenset({"Sid", "Effect", "Action", "Resource", "Condition"})
_WILDCARD = re.compile(r"\$\{([*?$])\}|([*?])")


class RuleError(ValueError):
    """A rule or policy that cannot be used; the message says what one looks like."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy: patterns of actions and of resource ARNs."""

    allows: bool
    actions: tuple[re.Pattern[str], ...]
    resources: tuple[re.Pattern[str], ...]

    def speaks_of(self, action: str, resource: str) -> bool:
        """Whether the statement decides about the action on the resource."""
        return any(each.fullmatch(action) for each in self.actions) and any(
            each.fullmatch(resource) for each in self.resources
        )


class Permissions:
    """The deny rules and the policies of each account; without any, everything is allowed."""

    def __init__(self) -> None:
        self._denied: dict[str, list[str]] = {}
        self._policies: dict[str, list[Mapping[str, Any]]] = {}
        self._statements: dict[str, list[Statement]] = {}

    def deny(self, account: str, rules: list[str]) -> None:
        """Replace the account's rules; an empty list allows everything again. Raises :class:`RuleError`."""
        for rule in rules:
            if not RULE.match(rule):
                raise RuleError(
                    f"{rule!r} is no rule: write 'glue:CreateTable' or 's3:PutObject arn:aws:s3:::bucket/*'"
                )
        self._denied[account] = list(rules)

    def allow_only(self, account: str, policies: Sequence[Mapping[str, Any]]) -> None:
        """Replace the account's policies; an empty list allows everything again. Raises :class:`RuleError`."""
        statements = [statement for policy in policies for statement in _statements(policy)]
        self._policies[account] = list(policies)
        self._statements[account] = statements

    def of(self, account: str) -> list[str]:
        """The account's rules."""
        return list(self._denied.get(account, ()))

    def policies_of(self, account: str) -> list[Mapping[str, Any]]:
        """The account's policies."""
        return list(self._policies.get(account, ()))

    def allows(self, account: str, action: str, resource: str) -> bool:
        """Whether nothing denies the action on the resource, and a policy allows it if the account has any."""
        return not self.denied_by_rule(account, action, resource) and self.allowed_by_policy(account, action, resource)

    def denied_by_rule(self, account: str, action: str, resource: str) -> bool:
        """Whether a rule of the account denies the action on the resource."""
        for rule in self._denied.get(account, ()):
            pattern, _space, resource_pattern = rule.partition(" ")
            if fnmatchcase(action, pattern) and fnmatchcase(resource, resource_pattern or "*"):
                return True
        return False

    def allowed_by_policy(self, account: str, action: str, resource: str) -> bool:
        """Whether the account's policies allow the action on the resource; without policies everything is."""
        if not self._policies.get(account):
            return True
        speaking = [each for each in self._statements[account] if each.speaks_of(action, resource)]
        return bool(speaking) and all(each.allows for each in speaking)

    def forget(self, account: str | None) -> None:
        """Allow one account (None: all) everything again."""
        for kept in (self._denied, self._policies, self._statements):
            if account is None:
                kept.clear()
            else:
                kept.pop(account, None)


def _statements(policy: Mapping[str, Any]) -> Iterable[Statement]:
    found = policy.get("Statement")
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise RuleError('a policy is an object with a list of statements: {"Version": "2012-10-17", "Statement": […]}')
    for each in found:
        if unknown := sorted(set(each) - _STATEMENT):
            raise RuleError(f"a statement has {unknown[0]!r}, which the lab does not understand")
        actions = _listed(each, "Action")
        if each.get("Condition") and not all(action.startswith("kms:") for action in actions):
            raise RuleError(
                "a statement has a Condition, which the lab understands for no action but KMS's, which it allows"
            )
        if each.get("Effect") not in ("Allow", "Deny"):
            raise RuleError("a statement's Effect is Allow or Deny")
        yield Statement(
            each["Effect"] == "Allow",
            tuple(_pattern(action, re.IGNORECASE) for action in actions),
            tuple(_pattern(resource) for resource in _listed(each, "Resource")),
        )


def _listed(statement: Mapping[str, Any], name: str) -> list[str]:
    values = statement.get(name)
    values = [values] if isinstance(values, str) else values
    if not isinstance(values, list) or not values or not all(isinstance(each, str) for each in values):
        raise RuleError(f"a statement's {name} is a text or a list of texts")
    return values


def _pattern(text: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    pieces, end = [], 0
    for found in _WILDCARD.finditer(text):
        pieces.append(re.escape(text[end : found.start()]))
        wildcard = {"*": ".*", "?": "."}
        pieces.append(re.escape(found[1]) if found[1] else wildcard[found[2]])
        end = found.end()
    return re.compile("".join([*pieces, re.escape(text[end:])]), flags)
