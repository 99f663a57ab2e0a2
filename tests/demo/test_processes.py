"""What the demo starts is ended by id, with everything below it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from pathlib import Path

from demo.airflow_processes import AirflowProcesses, free_ports, groups_of

ROOT = Path(__file__).resolve().parents[2]
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
PARENT = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], process_group=0)
time.sleep(60)
"""


def test_process_groups_that_a_component_made_are_ended_too(tmp_path, monkeypatch):
    monkeypatch.setattr("demo.airflow_processes._GRACE_SECONDS", 1.0)
    airflow = AirflowProcesses(tmp_path, {})
    parent = subprocess.Popen([sys.executable, "-c", PARENT], start_new_session=True)
    airflow._processes["scheduler"] = parent
    deadline = time.monotonic() + 20
    while len(groups_of({parent.pid})) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    airflow.stop()
    assert groups_of({parent.pid}) == set()
    airflow.stop()


def test_free_ports_differ():
    assert len(set(free_ports(5))) == 5


def test_settings_of_another_airflow_and_of_aws_do_not_get_in(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AWS_PROFILE", "production")
    environment = AirflowProcesses(tmp_path, {"AIRFLOW_CONN_X": "{}"})._environment()
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AWS_PROFILE" not in environment
    assert environment["AIRFLOW_CONN_X"] == "{}"


def test_two_demos_do_not_write_into_one_folder(tmp_path):
    tmp_path.joinpath("demo").mkdir()
    with tmp_path.joinpath("demo", ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "demo", "--output", str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"error: {tmp_path}/demo: another demo writes there. Remedy: wait for it, or give --output DIR"
    ]
    assert not tmp_path.joinpath("demo.json").exists()
