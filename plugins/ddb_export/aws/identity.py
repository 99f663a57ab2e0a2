"""The gateway to who we are and what we may do: STS, and IAM's simulation of policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import aws_errors
from ddb_export.domain.doctor import Caller
from ddb_export.domain.doctor_grants import ActionsOn
from ddb_export.exceptions import DdbExportError

if TYPE_CHECKING:
    from botocore.client import BaseClient


class IdentityGateway:
    """The identity of some credentials.

    :param sts: a boto3 STS client. :param iam: a boto3 IAM client of the same credentials.
    """

    def __init__(self, sts: BaseClient, iam: BaseClient) -> None:
        self._sts: Any = sts
        self._iam: Any = iam

    def caller(self) -> Caller:
        """Return who asks. No permission is needed for it (STS API reference, GetCallerIdentity)."""
        with aws_errors("AWS credentials"):
            answer = self._sts.get_caller_identity()
        return Caller(answer["Arn"], answer["Account"])

    def principal(self, caller: Caller) -> str | None:
        """Return the ARN of the user or role behind a caller, as IAM's simulation takes it; None for a root user.

        The ARN of an assumed role lacks the role's path; where IAM may not be asked for it, ``/`` is taken.
        """
        kind, _, rest = caller.arn.split(":")[5].partition("/")
        if kind == "user":
            return caller.arn
        if kind != "assumed-role":
            return None
        role = rest.split("/")[0]
        try:
            with aws_errors(f"role {role}"):
                return str(self._iam.get_role(RoleName=role)["Role"]["Arn"])
        except DdbExportError:
            return f"arn:{caller.arn.split(':')[1]}:iam::{caller.account}:role/{role}"

    def allowed(self, principal: str, asked: ActionsOn) -> frozenset[str]:
        """Return the actions that the principal's own policies allow on a resource.

        IAM looks at the principal's policies, its boundary and service control policies. It does not look up policies of resources (buckets,
        tables, keys), and takes none for roles, so what only such a policy allows counts as denied here (IAM API reference,
        SimulatePrincipalPolicy).

        :raises PermissionDeniedError: IAM may not be asked. :raises NotReachableError: it does not know the principal.
        """
        with aws_errors(principal):
            pages = self._iam.get_paginator("simulate_principal_policy").paginate(
                PolicySourceArn=principal,
                ActionNames=list(asked.actions),
                ResourceArns=[asked.resource],
                ContextEntries=[_context(key, values) for key, values in asked.context],
            )
            results = [result for page in pages for result in page["EvaluationResults"]]
        return frozenset(result["EvalActionName"] for result in results if result["EvalDecision"] == "allowed")


def _context(key: str, values: tuple[str, ...]) -> dict[str, Any]:
    return {"ContextKeyName": key, "ContextKeyValues": list(values), "ContextKeyType": "stringList"}
