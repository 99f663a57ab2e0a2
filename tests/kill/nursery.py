"""The process that the workers are forked from: it has imported Airflow already, so that a worker begins within milliseconds.

Run as ``python -m tests.kill.nursery``. It reads one JSON order a line on stdin and answers one JSON line on stdout: first
``{"ready": …}`` once the template of Airflow's database is made, then ``{"pid": …}`` for each worker. A worker is the leader
of a process group of its own, so that a test can kill it with all that it started. The nursery itself has no thread, opens no
database and talks to no AWS: what a worker inherits is code.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import pkgutil
import signal
import sqlite3
import sys
import threading
import traceback
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

import ddb_export
from tests import airflow_home

MODULES = ("airflow.providers.standard.triggers.temporal", "pyarrow.parquet", "tests.kill.airflow_worker")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
TEMPLATE = airflow_home.HOME / "airflow.db"


def main() -> int:
    """Serve until stdin ends; returns the exit code."""
    orders, answers = sys.stdin, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Airflow prints its log on stdout
    _isolate()
    make_template = os.fork()
    if make_template == 0:
        _make_template()
    _, status = os.waitpid(make_template, 0)
    if status:
        return 1
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead; the tests read what workers leave
    print(json.dumps({"ready": str(TEMPLATE)}), file=answers, flush=True)
    for line in orders:
        print(json.dumps({"pid": _fork(json.loads(line))}), file=answers, flush=True)
    return 0


def _isolate() -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def _make_template() -> None:
    from airflow import settings
    from airflow.utils import db

    db.initdb()
    settings.dispose_orm()
    with contextlib.closing(sqlite3.connect(TEMPLATE)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the one file is the whole database
    os._exit(0)


def _import_everything() -> None:
    """Load what every worker needs, and nothing that has a thread, a connection or a secret."""
    from airflow import settings
    from airflow.sdk.execution_time.supervisor import in_process_api_server
    from sqlalchemy.orm import configure_mappers

    ours = [module.name for module in pkgutil.walk_packages(ddb_export.__path__, "ddb_export.")]
    for name in [*MODULES, *(name for name in ours if not name.endswith("__main__"))]:
        importlib.import_module(name)
    configure_mappers()
    asyncio.run(_warm_up(in_process_api_server().app))
    settings.dispose_orm()
    _make_clients_quickly()
    gc.collect()
    gc.freeze()
    assert threading.active_count() == 1, "a forked process would inherit locks of threads that it does not have"


async def _warm_up(api: Any) -> None:
    """Send Airflow's execution API one request about nothing: it builds its routes at the first, which takes seconds."""
    start = {"state": "running", "hostname": "", "unixname": "", "pid": 1, "start_date": "2026-01-01T00:00:00Z"}
    transport = httpx.ASGITransport(app=api)
    async with (
        api.router.lifespan_context(api),
        httpx.AsyncClient(transport=transport, base_url="http://in-process.invalid./") as client,
    ):
        answer = await client.patch(f"/task-instances/{uuid.UUID(int=0)}/run", json=start)
    assert answer.status_code == HTTPStatus.NOT_FOUND, answer.text


def _make_clients_quickly() -> None:
    """Spare every task the 0.2 s for each of its clients: files are parsed once, and one set of credentials is one session.

    Only what comes before a call is shortened; the calls themselves are boto3's own.
    """
    import boto3
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook, BaseSessionFactory
    from botocore.loaders import JSONFileLoader

    load_file = functools.cache(JSONFileLoader()._load_file)
    hurried: Any = JSONFileLoader
    hurried._load_file = lambda _self, path, open_method: load_file(path, open_method)
    for service in ("athena", "dynamodb", "glue", "s3"):
        boto3.Session(aws_access_key_id="none", aws_secret_access_key="none").client(service, "us-east-1")
    make_session = functools.cache(boto3.Session)
    hurried = BaseSessionFactory
    hurried._create_basic_session = lambda _self, session_kwargs: make_session(**session_kwargs)
    hurried = AwsGenericHook
    hurried._get_caller = lambda _self, _name="execute": "Unknown"


def _die_with_the_nursery() -> None:
    """Have Linux kill this process when the nursery ends, whatever ended it: else it would wait for a lab that is gone."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        _die_with_the_nursery()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with Path(order["folder"], "worker.log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        from tests.kill.airflow_worker import work

        work(order)
        code = 0
    except BaseException:  # noqa: BLE001 - a forked process must end here, whatever happens
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
