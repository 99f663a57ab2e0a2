"""Starts the lab and drives its controls from Python; standard library only, so that anything may use it.

    with Lab.start() as lab:
        lab.set_clock("2026-01-01T00:00:00Z", account="111122223333")
        client = boto3.client("dynamodb", endpoint_url=lab.endpoint_url, …)

Accounts are texts of 12 digits; times are aware datetimes or ISO 8601 texts with a zone.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self

READY = "local_aws ready on "
Json = dict[str, Any]


class LabError(RuntimeError):
    """The lab did not start, or refused a control request; the message is the lab's own."""


class Lab:
    """A lab server: one that this object started, or (``Lab(url)``) one that runs already."""

    def __init__(self, endpoint_url: str, process: subprocess.Popen[str] | None = None) -> None:
        self.endpoint_url = endpoint_url.rstrip("/")
        self._process = process

    @classmethod
    def start(
        cls,
        port: int = 0,
        *,
        export_seconds: float | None = None,
        timeout: float = 300.0,
        python: str = sys.executable,
        verbose: bool = False,
    ) -> Lab:
        """Start a server in a process group of its own and wait until it is ready.

        ``port`` 0 takes a free port. ``export_seconds``: real seconds that an export takes (default 1). ``timeout``
        (seconds) covers the first start, which makes the lab's environment. The server ends with this process.
        Raises :class:`LabError` with what the server said if it does not get ready.
        """
        command = [python, "-m", "local_aws", "--port", str(port), "--parent-pid", str(os.getpid())]
        if export_seconds is not None:
            command += ["--export-seconds", str(export_seconds)]
        if verbose:
            command.append("--verbose")
        root = Path(__file__).resolve().parent.parent
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if verbose else errors,
                text=True,
                cwd=root,
                start_new_session=True,
            )
            url = _wait_until_ready(process, timeout)
            if url is None:
                _end_group(process)
                errors.seek(0)
                raise LabError(
                    f"local_aws did not get ready within {timeout:g} s: {errors.read().strip() or 'no output'}"
                )
        return cls(url, process)

    def stop(self) -> None:
        """End the server that this object started, and its process group; a second call does nothing."""
        if self._process is not None:
            _end_group(self._process)
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def clock(self, account: str | None = None) -> datetime:
        """The lab's time, of one account or of all that follow the shared clock."""
        return _moment(self._get("clock", account=account))

    def set_clock(self, now: datetime | str, account: str | None = None) -> datetime:
        """Set the time, of one account or the shared one; refused if it lies before the last write."""
        return _moment(self._post("clock", {"account": account, "now": _iso(now)}))

    def advance_clock(self, seconds: float, account: str | None = None) -> datetime:
        """Let ``seconds`` pass."""
        return _moment(self._post("clock", {"account": account, "advance_seconds": seconds}))

    def offset_clock(self, seconds: float, account: str | None = None) -> datetime:
        """Let the clock run ``seconds`` ahead of real time (negative: behind)."""
        return _moment(self._post("clock", {"account": account, "offset_seconds": seconds}))

    def write_history(self, account: str, writes: Iterable[Mapping[str, Any]], region: str = "us-east-1") -> int:
        """Apply dated writes ``{"time", "operation", "request"}`` and leave the clock at the last; returns how many."""
        lines = "\n".join(json.dumps({**write, "time": _iso(write["time"])}, ensure_ascii=False) for write in writes)
        answer = self._call("POST", "history", lines.encode(), {"account": account, "region": region})
        return int(answer["applied"])

    def add_fault(self, kind: str, *, account: str | None = None, times: int | None = 1, **parameters: Any) -> str:
        """Put a fault in force and return its id; ``times`` None lets it fire always. README.md lists the kinds."""
        return str(self._post("faults", {"kind": kind, "account": account, "times": times, **parameters})["id"])

    def faults(self, account: str | None = None) -> list[Json]:
        """The faults in force, with how often each fired (``fired``) and how many it holds now (``held``)."""
        return list(self._get("faults", account=account)["faults"])

    def fault(self, identifier: str) -> Json:
        """One fault."""
        return self._get(f"faults/{identifier}")

    def wait_until_held(self, identifier: str, timeout: float = 10.0) -> None:
        """Wait until the fault holds something; raises :class:`LabError` after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while self.fault(identifier)["held"] == 0:
            if time.monotonic() > end:
                raise LabError(f"the fault {identifier} held nothing within {timeout:g} s")
            time.sleep(0.02)

    def release(self, identifier: str) -> None:
        """Let go what the fault holds."""
        self._post(f"faults/{identifier}/release", {})

    def remove_fault(self, identifier: str) -> None:
        """Take out one fault; what it holds goes on."""
        self._call("DELETE", f"faults/{identifier}", None, {})

    def clear_faults(self, account: str | None = None) -> int:
        """Take out the faults of one account, or all; what they hold goes on. Returns how many."""
        return int(self._call("DELETE", "faults", None, {"account": account})["cleared"])

    def calls(
        self,
        account: str | None = None,
        service: str | None = None,
        operation: str | None = None,
        after: int = 0,
    ) -> list[Json]:
        """The calls that clients made, oldest first, with a ``sequence`` above ``after``."""
        return list(self._get("calls", account=account, service=service, operation=operation, after=after)["calls"])

    def clear_calls(self, account: str | None = None) -> None:
        """Forget the recorded calls."""
        self._call("DELETE", "calls", None, {"account": account})

    def exports(self, account: str | None = None) -> list[Json]:
        """The lab's own record of exports, failed ones included, in the order of their acceptance."""
        return list(self._get("exports", account=account)["exports"])

    def settings(self, account: str | None = None, **changes: Any) -> Json:
        """Change settings (of one account, or the defaults) and return all of them."""
        if not changes:
            return self._get("settings", account=account)
        return self._post("settings", {"account": account, **changes})

    def deny(self, account: str, *rules: str) -> None:
        """Deny the account what ``rules`` name (``glue:CreateTable``, ``s3:PutObject arn:aws:s3:::b/*``); none: allow all."""
        self._post("permissions", {"account": account, "deny": list(rules)})

    def allow_only(self, account: str, *policies: Mapping[str, Any]) -> None:
        """Allow the account what these IAM policy documents allow and nothing else; none: allow all."""
        self._post("permissions", {"account": account, "policies": list(policies)})

    def reset(self, account: str | None = None) -> None:
        """Forget everything, or everything of one account."""
        self._post("reset", {"account": account})

    def _get(self, path: str, **query: object) -> Json:
        return self._call("GET", path, None, query)

    def _post(self, path: str, data: Mapping[str, Any]) -> Json:
        # `times` may be null on purpose (always); an account of None means all and is left out.
        body = {name: value for name, value in data.items() if value is not None or name != "account"}
        return self._call("POST", path, json.dumps(body).encode(), {})

    def _call(self, method: str, path: str, body: bytes | None, query: Mapping[str, object]) -> Json:
        given = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
        url = f"{self.endpoint_url}/_lab/{path}" + (f"?{given}" if given else "")
        request = urllib.request.Request(url, data=body, method=method)  # noqa: S310 - http to the lab
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=300) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            with contextlib.suppress(ValueError, KeyError, TypeError):
                text = json.loads(text)["error"]
            raise LabError(f"the lab refused {method} /_lab/{path}: {text}") from error
        except urllib.error.URLError as error:
            raise LabError(f"the lab at {self.endpoint_url} does not answer: {error.reason}; is it running?") from error


def _wait_until_ready(process: subprocess.Popen[str], timeout: float) -> str | None:
    """The URL from the ready line; None if the process ended or said nothing in time."""
    assert process.stdout is not None
    end = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0 and selector.select(left):
            line = _line(process.stdout)
            if line.startswith(READY):
                return line.removeprefix(READY).strip()
            if not line:
                return None
    return None


def _line(stream: IO[str]) -> str:
    return stream.readline()


def _end_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _iso(moment: datetime | str) -> str:
    if isinstance(moment, str):
        return moment
    if moment.tzinfo is None:
        raise ValueError(f"the time {moment!r} has no time zone")
    return moment.isoformat()


def _moment(answer: Json) -> datetime:
    return datetime.fromisoformat(answer["now"])
