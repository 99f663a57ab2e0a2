"""A PostgreSQL server of a test's own, from the binaries that this machine has.

Airflow's SQLite locks under backfills, so what is said about backfills has to be seen on the database that people run. The
server listens on the loopback interface only, keeps its files in a temporary folder, and is ended by its id.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from demo.airflow_processes import free_ports

_DEBIAN = Path("/usr/lib/postgresql")
_USER = "airflow"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_NOBODY = "nobody"
"""Who runs the server where root runs the tests: PostgreSQL refuses to be run by root."""


class PostgreSqlError(RuntimeError):
    """The server cannot be had; the message is one line with the thing, the cause and a remedy."""


def find_binaries() -> Path:
    """Return the folder of ``initdb`` and ``postgres``: that of PATH, or Debian's newest.

    :raises PostgreSqlError: there is none.
    """
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not versions:
        raise PostgreSqlError(
            f"PostgreSQL: neither PATH nor {_DEBIAN} has initdb. Remedy: apt-get install postgresql (or put its bin on PATH)"
        )
    return versions[-1].parent


class PostgreSql:
    """A server with an empty database ``airflow``; a context manager that ends it whatever happens.

    :param keep: leave the folder with the server's log, to be looked at after a failure.
    :param port: of the loopback interface; a free one by default.
    :param password: what its user must give; by default everybody on this machine is let in.
    """

    def __init__(self, *, keep: bool = False, port: int = 0, password: str = "") -> None:
        self._binaries = find_binaries()
        self._keep = keep
        self.folder = Path(tempfile.mkdtemp(prefix="ddb-export-postgresql-"))
        self.port = port or free_ports(1)[0]
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address as Airflow's ``sql_alchemy_conn`` takes it."""
        return f"postgresql+psycopg2://{_USER}@127.0.0.1:{self.port}/airflow"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "postgresql.log"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server at once, sessions and all; a second call does nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast shutdown": sessions are ended, none is waited for
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        data = self.folder / "data"
        if os.getuid() == 0:
            nobody = pwd.getpwnam(_NOBODY)
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        secret = self.folder / "password"
        secret.write_text(self._password or "none")
        secret.chmod(0o644)  # below a folder that is the server's alone
        auth = ("--auth", "scram-sha-256" if self._password else "trust", "--pwfile", str(secret))
        self._run("initdb", "--pgdata", str(data), "--username", _USER, *auth, "--encoding", "UTF8", "--no-sync")
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",  # the folder lives as long as the test
            "max_connections": "200",
        }
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                **_as_nobody(),
            )
        self._make_database()

    def _make_database(self) -> None:
        command = ("createdb", "--host", "127.0.0.1", "--port", str(self.port), "--username", _USER, "airflow")
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                return self._run(*command)
            except PostgreSqlError:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def _run(self, program: str, *arguments: str) -> None:
        answer = subprocess.run(
            [self._binaries / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**os.environ, "PGPASSWORD": self._password},
            **_as_nobody(),
        )
        if answer.returncode:
            cause = " ".join((answer.stderr or answer.stdout).split())
            raise PostgreSqlError(f"{program}: {cause}. Remedy: see {self.log}, and free memory and disk space")


def _as_nobody() -> dict[str, Any]:
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam(_NOBODY)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
