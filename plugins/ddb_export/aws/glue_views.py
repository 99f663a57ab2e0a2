"""What the Glue Data Catalog says of tables and views, for those who write views over them.

Athena keeps a view as a table of type ``VIRTUAL_VIEW`` whose ``ViewOriginalText`` is ``/* Presto View: {base64 of JSON} */``; the JSON's
``originalSql`` is the query, in Athena's own format (Athena user guide, "Work with views"; Trino reads and writes the same).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import aws_errors, error_code
from ddb_export.aws.glue import MADE_BY

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway

_PREFIX = "/* Presto View: "
_SUFFIX = " */"


@dataclass(frozen=True, slots=True)
class StoredTable:
    """What stands under a name in the catalog.

    :param columns: name → Glue type, without the partition keys. :param made_for: the lake that it was made for; None if not by us.
    :param view_query: the query of a view; empty if it cannot be read; None if this is no view.
    """

    columns: dict[str, str]
    made_for: str | None
    view_query: str | None


def stored_table(glue: GlueGateway, database: str, name: str) -> StoredTable | None:
    """Return what has this name; None if nothing has."""
    from botocore.exceptions import ClientError

    with aws_errors(f"{database}.{name}"):
        try:
            found: dict[str, Any] = glue.client.get_table(DatabaseName=database, Name=name)["Table"]
        except ClientError as error:
            if error_code(error) == "EntityNotFoundException":
                return None
            raise
    columns = found.get("StorageDescriptor", {}).get("Columns", ())
    is_view = found.get("TableType") == "VIRTUAL_VIEW"
    return StoredTable(
        {column["Name"]: column.get("Type", "string") for column in columns},
        found.get("Parameters", {}).get(MADE_BY),
        _query(found.get("ViewOriginalText") or "") if is_view else None,
    )


def _query(text: str) -> str:
    encoded = text.strip().removeprefix(_PREFIX).removesuffix(_SUFFIX)
    try:
        return str(json.loads(base64.b64decode(encoded, validate=True)).get("originalSql", ""))
    except (ValueError, AttributeError, binascii.Error):
        return ""
