"""Starting and ending the lab: the ready line, free ports, signals, a parent that goes, the environment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local_aws import client, environment
from local_aws.client import Lab, LabError

ROOT = Path(client.__file__).parents[1]


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "local_aws", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ready_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("local_aws ready on http://127.0.0.1:"), line
    return int(line.rpartition(":")[2])


def listens(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly_on_signals(number):
    with started("--port", "0") as process:
        port = ready_port(process)
        assert listens(port)
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")
    assert not listens(port)


def test_listens_on_loopback_only(lab):
    port = int(lab.endpoint_url.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        own = probe.getsockname()[0]
    assert own.startswith("127.") or not listens(port, own)


def test_ends_when_its_parent_is_gone():
    parent = subprocess.Popen(["sleep", "60"])
    with started("--port", "0", "--parent-pid", str(parent.pid)) as process:
        port = ready_port(process)
        parent.terminate()
        parent.wait()
        assert process.wait(timeout=10) == 0
    assert not listens(port)


def test_a_taken_port_is_named(lab):
    port = lab.endpoint_url.rpartition(":")[2]
    with started("--port", port) as process:
        _output, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert errors.startswith(f"local_aws cannot listen on 127.0.0.1:{port}: ")
    with pytest.raises(LabError, match="cannot listen on"):
        Lab.start(int(port))


def test_help_needs_no_environment(tmp_path):
    done = subprocess.run(
        [sys.executable, "-S", "-m", "local_aws", "--help"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LOCAL_AWS_VENV": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "AWS_ENDPOINT_URL" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_starts_within_three_seconds():
    began = time.monotonic()
    with Lab.start() as lab:
        seconds = time.monotonic() - began
        assert listens(int(lab.endpoint_url.rpartition(":")[2]))
    assert seconds < 3


def test_stop_ends_the_process_group():
    lab = Lab.start()
    assert lab._process is not None
    pid = lab._process.pid
    lab.stop()
    lab.stop()
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)
    with pytest.raises(LabError, match="does not answer"):
        lab.clock()


@pytest.mark.slow
def test_two_that_start_at_once_make_one_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_AWS_VENV", str(tmp_path))
    with ThreadPoolExecutor(2) as pool:
        labs = list(pool.map(lambda _number: Lab.start(), range(2)))
    for lab in labs:
        lab.stop()
    folders = [path.name for path in tmp_path.iterdir() if path.is_dir()]
    assert folders == [environment.environment_folder().name]


def test_a_failed_installation_says_what_to_do(tmp_path, monkeypatch):
    wrong = tmp_path / "requirements.txt"
    wrong.write_text("no-such-package-at-all @ file:///nonexistent.whl\n")
    monkeypatch.setenv("LOCAL_AWS_VENV", str(tmp_path / "environments"))
    monkeypatch.setattr(environment, "REQUIREMENTS", wrong)
    with pytest.raises(
        environment.LabEnvironmentError, match=r"could not make its environment: .* failed: .*; check the network"
    ):
        environment.ensure()
    assert not (environment.environment_folder() / environment.STAMP).exists()
