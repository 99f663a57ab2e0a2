"""The gateway to what a lake's tables stand in: the Glue database, and the Athena workgroup that queries it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import aws_errors
from ddb_export.exceptions import DdbExportError

if TYPE_CHECKING:
    from botocore.client import BaseClient


class DatabaseGateway:
    """The Glue databases of an account and region.

    :param client: a boto3 Glue client.
    """

    def __init__(self, client: BaseClient) -> None:
        self._client: Any = client

    def exists(self, database: str) -> bool:
        """Tell whether there is such a database.

        :raises PermissionDeniedError: it may not be asked for.
        """
        return self._found("get_database", f"Glue database {database}", Name=database)

    def has_table(self, database: str, table: str) -> bool:
        """Tell whether there is such a table.

        :raises PermissionDeniedError: it may not be asked for.
        """
        return self._found("get_table", f"Glue table {database}.{table}", DatabaseName=database, Name=table)

    def create(self, database: str) -> None:
        """Create a database; one that exists is left as it is."""
        try:
            with aws_errors(f"Glue database {database}"):
                self._client.create_database(DatabaseInput={"Name": database})
        except DdbExportError as error:
            if error.code != "AlreadyExistsException":
                raise

    def _found(self, operation: str, thing: str, **parameters: str) -> bool:
        try:
            with aws_errors(thing):
                getattr(self._client, operation)(**parameters)
        except DdbExportError as error:
            if error.code == "EntityNotFoundException":
                return False
            raise
        return True


class WorkgroupGateway:
    """The Athena workgroups of an account and region.

    :param client: a boto3 Athena client.
    """

    def __init__(self, client: BaseClient) -> None:
        self._client: Any = client

    def state(self, workgroup: str) -> str:
        """Return ``ENABLED`` or ``DISABLED``.

        :raises NotReachableError: there is no such workgroup. :raises PermissionDeniedError: it may not be asked for.
        """
        with aws_errors(f"Athena workgroup {workgroup}"):
            return str(self._client.get_work_group(WorkGroup=workgroup)["WorkGroup"]["State"])
