"""A real Trino with the lab's Glue as its metastore and the lab's S3 as its storage, and a client of its REST protocol."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.readers import installed
from tests.readers.hive_ddl import outermost

_START_SECONDS = 180
_JVM = """-server
-Xmx2G
-XX:+UseSerialGC
-Djdk.attach.allowAttachSelf=true
-Dfile.encoding=UTF-8
-Duser.timezone=UTC
--enable-native-access=ALL-UNNAMED
"""
_SERVER = """coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery.uri=http://127.0.0.1:{port}
node.internal-address=127.0.0.1
query.max-memory=512MB
query.max-memory-per-node=512MB
memory.heap-headroom-per-node=256MB
"""
_NODE = """node.environment=readers
node.id=readers
node.data-dir={folder}/data
plugin.dir={home}/plugin
"""
_CATALOG = """connector.name=hive
hive.metastore=glue
hive.metastore.glue.region=us-east-1
hive.metastore.glue.endpoint-url={endpoint}
hive.metastore.glue.aws-access-key={account}
hive.metastore.glue.aws-secret-key=lab
hive.metastore-cache-ttl=0s
hive.timestamp-precision=MICROSECONDS
fs.native-s3.enabled=true
s3.endpoint={endpoint}
s3.region=us-east-1
s3.path-style-access=true
s3.aws-access-key={account}
s3.aws-secret-key=lab
"""


class TrinoError(AssertionError):
    """Trino refused a statement; its code and its words."""


class Trino:
    """A running server. :param port: where it listens on this machine."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def info(self) -> dict[str, Any]:
        """Return what the server says of itself."""
        return dict(self._open(urllib.request.Request(f"{self._base}/v1/info")))

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Do a statement; return the rows of a query, with values as exact as Trino has them."""
        headers = {
            "X-Trino-User": "reader",
            "X-Trino-Catalog": "awsdatacatalog",
            "X-Trino-Schema": "lake",
            "X-Trino-Time-Zone": "UTC",
            # Without it the protocol cuts times to milliseconds.
            "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME",
        }
        answer = self._open(urllib.request.Request(f"{self._base}/v1/statement", data=sql.encode(), headers=headers))
        columns: list[dict[str, str]] = []
        rows: list[dict[str, Any]] = []
        while True:
            if "error" in answer:
                raise TrinoError(f"{answer['error']['errorName']}: {answer['error']['message']} in {sql[:200]}")
            columns = answer.get("columns", columns)
            for values in answer.get("data", ()):
                pairs = zip(columns, values, strict=True)
                rows.append({column["name"]: _value(value, column["type"]) for column, value in pairs})
            if "nextUri" not in answer:
                return rows
            answer = self._open(urllib.request.Request(answer["nextUri"]))

    @staticmethod
    def _open(request: urllib.request.Request) -> Any:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.load(answer)


@contextmanager
def running_trino(folder: Path, endpoint: str, account: str) -> Iterator[Trino]:
    """Run a server until the block ends; its log is ``server.log`` in the folder.

    :param endpoint: the lab's URL. :param account: whose Glue and S3 it sees.
    """
    home, java = installed.trino_home(), installed.trino_java()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = folder / "etc"
    (configuration / "catalog").mkdir(parents=True)
    texts = {
        "jvm.config": _JVM,
        "config.properties": _SERVER.format(port=port),
        "node.properties": _NODE.format(folder=folder, home=home),
        "catalog/awsdatacatalog.properties": _CATALOG.format(endpoint=endpoint, account=account),
    }
    for name, text in texts.items():
        (configuration / name).write_text(text)
    command: list[str | Path] = [
        home / "bin" / "launcher",
        "run",
        "--etc-dir",
        configuration,
        "--data-dir",
        folder / "data",
    ]
    environment = {**os.environ, "JAVA_HOME": str(java), "PATH": f"{java}/bin:{os.environ['PATH']}"}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            trino = Trino(port)
            _wait(trino, process, log)
            yield trino
        finally:
            process.terminate()
            process.wait(60)


def _wait(trino: Trino, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            # A server that has started may know no worker yet, itself included.
            if not trino.info()["starting"] and trino.rows("SHOW SCHEMAS"):
                return
        except OSError:
            pass
        except TrinoError as error:
            if "NO_NODES_AVAILABLE" not in str(error):
                raise
        if process.poll() is not None or time.monotonic() > deadline:
            raise TrinoError(f"it does not start: {log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.5)


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if element := re.fullmatch(r"array\((.+)\)", kind):
        return [_value(each, element[1]) for each in value]
    if members := re.fullmatch(r"row\((.+)\)", kind):
        pairs = (each.strip().split(" ", 1) for each in outermost(members[1]))
        return {name.strip('"'): _value(each, inner) for (name, inner), each in zip(pairs, value, strict=True)}
    if kind.startswith("decimal"):
        return Decimal(value)
    return base64.b64decode(value) if kind == "varbinary" else value
