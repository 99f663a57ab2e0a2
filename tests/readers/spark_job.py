"""Runs inside Spark's own environment: statements from a JSON file, and the rows of its queries back, every value exact.

Numbers of ``decimal`` come back as ``{"decimal": text}``, ``binary`` as ``{"binary": base64}``: JSON has neither.
"""

from __future__ import annotations

import base64
import json
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any


def main(job: str, answer: str) -> None:
    """Do what the file ``job`` says, and write rows and versions to ``answer``."""
    from pyspark.sql import SparkSession  # type: ignore[import-not-found]  # in Spark's environment only

    given = json.loads(Path(job).read_text())
    builder = SparkSession.builder.master("local[1]").appName("readers").enableHiveSupport()
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": given["folder"] + "/warehouse",
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={given['folder']} -Duser.timezone=UTC",
        "spark.sql.shuffle.partitions": "1",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    for statement in given["statements"]:
        spark.sql(statement)
    rows = {
        name: [row.asDict(recursive=True) for row in spark.sql(query).collect()]
        for name, query in given["queries"].items()
    }
    document = {"version": spark.version, "java": spark._jvm.System.getProperty("java.version"), "rows": rows}
    Path(answer).write_text(json.dumps(document, default=_encoded))
    spark.stop()


def _encoded(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, bytes | bytearray):
        return {"binary": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(str(type(value)))


if __name__ == "__main__":
    main(*sys.argv[1:])
