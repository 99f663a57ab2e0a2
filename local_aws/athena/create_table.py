"""CREATE DATABASE and CREATE EXTERNAL TABLE as requests to Glue."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from local_aws import glue
from local_aws.athena import catalog
from local_aws.athena.errors import QueryFailed
from local_aws.athena.hive_types import from_node
from local_aws.athena.partition_ddl import Cursor

_HIVE = "org.apache.hadoop.hive"
_TEXT_INPUT = "org.apache.hadoop.mapred.TextInputFormat"
_TEXT_OUTPUT = f"{_HIVE}.ql.io.HiveIgnoreKeyTextOutputFormat"
# Class names as Hive gives them to STORED AS; (SerDe, InputFormat, OutputFormat).
_FORMATS = {
    "PARQUET": (
        f"{_HIVE}.ql.io.parquet.serde.ParquetHiveSerDe",
        f"{_HIVE}.ql.io.parquet.MapredParquetInputFormat",
        f"{_HIVE}.ql.io.parquet.MapredParquetOutputFormat",
    ),
    "JSON": ("org.apache.hive.hcatalog.data.JsonSerDe", _TEXT_INPUT, _TEXT_OUTPUT),
    "TEXTFILE": (f"{_HIVE}.serde2.lazy.LazySimpleSerDe", _TEXT_INPUT, _TEXT_OUTPUT),
}


def create_database(text: str) -> None:
    """CREATE DATABASE|SCHEMA [IF NOT EXISTS] name [COMMENT …] [LOCATION …] [WITH DBPROPERTIES (…)]."""
    cursor = Cursor(text)
    cursor.expect("CREATE")
    cursor.next_text()
    lenient = cursor.take("IF", "NOT", "EXISTS")
    name = cursor.next_text().lower()
    given: dict[str, Any] = {"Name": name}
    while not cursor.at_end:
        if cursor.take("COMMENT"):
            given["Description"] = cursor.next_text()
        elif cursor.take("LOCATION"):
            given["LocationUri"] = cursor.next_text()
        elif cursor.take("WITH", "DBPROPERTIES"):
            given["Parameters"] = cursor.pairs()
        else:
            raise cursor.unexpected()
    if lenient and catalog.database_exists(name):
        return
    glue.call("CreateDatabase", {"DatabaseInput": given})


def create_table(statement: exp.Create, database: str) -> None:
    """CREATE EXTERNAL TABLE with SerDe or STORED AS, PARTITIONED BY, LOCATION and TBLPROPERTIES."""
    schema = statement.this
    if statement.expression is not None or not isinstance(schema, exp.Schema):
        raise QueryFailed(
            "NOT_SUPPORTED",
            "The lab's Athena does not do CREATE TABLE AS: write the files and create an external table",
        )
    properties = statement.args.get("properties")
    listed: list[exp.Expr] = properties.expressions if properties is not None else []
    if not any(isinstance(found, exp.ExternalProperty) for found in listed):
        raise QueryFailed(
            "NOT_SUPPORTED",
            "The lab's Athena creates external tables only, no Iceberg tables: say CREATE EXTERNAL TABLE",
        )
    target = schema.this
    given = _table_input(target.name.lower(), schema, listed)
    where = (target.db or database).lower()
    if statement.args.get("exists") and catalog.find_table(where, given["Name"]) is not None:
        return
    glue.call("CreateTable", {"DatabaseName": where, "TableInput": given})


def _table_input(name: str, schema: exp.Schema, properties: list[exp.Expr]) -> dict[str, Any]:
    parameters = {"EXTERNAL": "TRUE"}
    descriptor: dict[str, Any] = {"Columns": _columns(schema.expressions)}
    keys: list[dict[str, str]] = []
    serde, reads, writes = _FORMATS["TEXTFILE"]
    serde_parameters: dict[str, str] = {}
    for found in properties:
        if isinstance(found, exp.PartitionedByProperty):
            keys = _columns(found.this.expressions)
        elif isinstance(found, exp.LocationProperty):
            descriptor["Location"] = found.this.name
        elif isinstance(found, exp.FileFormatProperty):
            serde, reads, writes = _file_format(found, serde)
        elif isinstance(found, exp.RowFormatSerdeProperty):
            serde = found.this.name
            serde_parameters |= _pairs(found.args.get("serde_properties"))
        elif isinstance(found, exp.SerdeProperties):
            serde_parameters |= _pairs(found)
        elif type(found) is exp.Property:
            parameters[found.name] = found.args["value"].name
    if "Location" not in descriptor:
        raise QueryFailed("FAILED", "ParseException: missing LOCATION; an external table names the folder of its files")
    descriptor |= {"InputFormat": reads, "OutputFormat": writes}
    descriptor["SerdeInfo"] = {"SerializationLibrary": serde, "Parameters": serde_parameters}
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
        "PartitionKeys": keys,
        "StorageDescriptor": descriptor,
    }


def _file_format(found: exp.FileFormatProperty, serde: str) -> tuple[str, str, str]:
    if isinstance(found.this, exp.InputOutputFormat):
        reads, writes = (found.this.args[part] for part in ("input_format", "output_format"))
        return serde, reads.name, writes.name
    name = found.this.name.upper()
    if name not in _FORMATS:
        raise QueryFailed("NOT_SUPPORTED", f"The lab's Athena reads PARQUET and JSON, not STORED AS {name}")
    return _FORMATS[name]


def _pairs(found: exp.Expr | None) -> dict[str, str]:
    if found is None:
        return {}
    return {pair.this.name: pair.args.get("value", pair.args.get("expression")).name for pair in found.expressions}


def _columns(definitions: list[exp.Expr]) -> list[dict[str, str]]:
    columns = []
    for definition in definitions:
        if not isinstance(definition, exp.ColumnDef) or definition.args.get("kind") is None:
            raise QueryFailed("FAILED", f"ParseException: '{definition.sql(dialect='hive')}' is no column with a type")
        column = {"Name": definition.name.lower(), "Type": from_node(definition.args["kind"]).text}
        comment = definition.find(exp.CommentColumnConstraint)
        if comment is not None:
            column["Comment"] = comment.name
        columns.append(column)
    return columns
