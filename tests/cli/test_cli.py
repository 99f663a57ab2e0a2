"""The command as scripts and people use it: exit codes, JSON, stderr; in processes of its own where that matters."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import ddb_export
from ddb_export.cli import COMMANDS, main
from tests.pipeline.handmade_exports import GENUINE, GENUINE_ARN, change, full_export, genuine, incremental_export

VERIFY_KEYS = [
    "ok",
    "export_arn",
    "export_type",
    "table_arn",
    "table_id",
    "export_time",
    "from",
    "to",
    "files",
    "items",
    "bytes",
    "level",
    "manifest_md5",
    "errors",
]
CONVERT_KEYS = [*VERIFY_KEYS, "rows", "quarantined", "outputs", "columns"]
ITEMS = [[{"id": {"S": "a"}}], [{"id": {"S": "ü"}, "n": {"N": "1"}}]]

PROGRAM = [sys.executable, "-m", "ddb_export.cli"]


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )


def document(result: subprocess.CompletedProcess[str], keys: list[str]) -> dict[str, Any]:
    """The one JSON object on stdout, with exactly these keys; on failure there is one line on stderr."""
    parsed = json.loads(result.stdout)
    assert list(parsed) == keys
    assert all(sorted(each) == ["cause", "file", "remedy"] for each in parsed["errors"])
    assert parsed["ok"] == (result.returncode == 0) == (not parsed["errors"])
    assert len(result.stderr.splitlines()) == (0 if parsed["ok"] else 1)
    return parsed


class TestVerify:
    def test_genuine_export(self):
        result = run("verify", GENUINE, "--json")
        assert result.returncode == 0
        parsed = document(result, VERIFY_KEYS)
        assert parsed["export_arn"] == GENUINE_ARN
        assert (parsed["files"], parsed["items"], parsed["bytes"]) == (1, 3, 253)

    def test_for_people(self):
        result = run("verify", GENUINE)
        assert result.stdout.startswith(f"verified: {GENUINE_ARN}\n")
        assert (result.returncode, result.stderr) == (0, "")

    @pytest.mark.scenario("F16")
    def test_damage(self, tmp_path):
        export = full_export(tmp_path, ITEMS)
        for path in export.data:
            path.write_bytes(b"damaged")
        result = run("verify", tmp_path, "--json")
        assert result.returncode == 1
        errors = document(result, VERIFY_KEYS)["errors"]
        assert [each["file"] for each in errors] == [str(path) for path in export.data]
        assert result.stderr.endswith("export again (and 1 more)\n")
        result = run("verify", tmp_path)
        assert result.stdout.startswith("NOT VERIFIED: ")
        assert result.stdout.count("  problem    ") == 2
        assert len(result.stderr.splitlines()) == 1

    def test_missing_summary(self, tmp_path):
        full_export(tmp_path, ITEMS).summary.unlink()
        result = run("verify", tmp_path, "--json")
        assert result.returncode == 1
        assert document(result, VERIFY_KEYS)["export_type"] is None

    @pytest.mark.parametrize("level", ["bytes", "manifest"])
    def test_level(self, level):
        assert document(run("verify", GENUINE, "--json", "--level", level), VERIFY_KEYS)["level"] == level

    def test_ion_is_verified(self, tmp_path):
        full_export(tmp_path, ITEMS).change_summary(outputFormat="ION")
        assert run("verify", tmp_path).returncode == 0


class TestConvert:
    def test_genuine_export(self, tmp_path):
        result = run("convert", GENUINE, "--to", tmp_path / "lake", "--json")
        assert result.returncode == 0
        parsed = document(result, CONVERT_KEYS)
        assert (parsed["rows"], parsed["quarantined"]) == (3, 0)
        ((output),) = parsed["outputs"]
        assert Path(output["path"]).is_relative_to(tmp_path / "lake")
        assert Path(output["path"]).stat().st_size == output["bytes"]
        assert {"name": "bar", "attribute": "bar", "dynamodb_type": "N", "arrow_type": "int64"} in parsed["columns"]
        assert run("convert", GENUINE, "--to", tmp_path / "lake", "--json").stdout == result.stdout

    def test_relative_places_and_people(self, tmp_path, monkeypatch):
        genuine(tmp_path / "export")
        monkeypatch.chdir(tmp_path)
        result = run("convert", "export", "--to", "lake")
        assert (result.returncode, result.stderr) == (0, "")
        assert "3 rows, 10 columns, 1 file, " in result.stdout
        assert (tmp_path / "lake/snapshots").is_dir()

    def test_ttl_attribute(self, tmp_path):
        records = [change("a", old={"gone": {"N": "1"}})]
        incremental_export(tmp_path / "export", [records])
        result = run("convert", tmp_path / "export", "--to", tmp_path / "lake", "--json", "--ttl-attribute", "gone")
        import pyarrow.parquet as pq

        rows = pq.read_table(document(result, CONVERT_KEYS)["outputs"][0]["path"], partitioning=None).to_pylist()
        assert rows[0]["_ttl_expired"] is True

    @pytest.mark.scenario("F16")
    def test_damage_writes_nothing(self, tmp_path):
        export = full_export(tmp_path / "export", ITEMS)
        export.data[1].unlink()
        result = run("convert", export.root, "--to", tmp_path / "lake", "--json")
        assert result.returncode == 1
        parsed = document(result, CONVERT_KEYS)
        assert (parsed["rows"], parsed["outputs"], parsed["export_arn"]) == (None, [], export.arn)
        assert [path.name for path in tmp_path.iterdir()] == ["export"]

    def test_ion_is_refused(self, tmp_path):
        full_export(tmp_path / "export", ITEMS).change_summary(outputFormat="ION")
        result = run("convert", tmp_path / "export", "--to", tmp_path / "lake", "--json")
        assert result.returncode == 2
        assert "ION" in document(result, CONVERT_KEYS)["errors"][0]["cause"]


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "keys"),
        [
            (["verify"], VERIFY_KEYS),
            (["verify", "a", "b"], VERIFY_KEYS),
            (["verify", "a", "--level", "all"], VERIFY_KEYS),
            (["verify", "a", "--js"], VERIFY_KEYS),
            (["verify", "http://x/y"], VERIFY_KEYS),
            (["verify", ""], VERIFY_KEYS),
            (["verify", "s3://bucket", "--endpoint-url", "nonsense"], VERIFY_KEYS),
            (["verify", "s3://bucket", "--profile", "nobody"], VERIFY_KEYS),
            (["convert", "a"], CONVERT_KEYS),
            (["convert", "a", "--to"], CONVERT_KEYS),
            (["explode"], VERIFY_KEYS),
            ([], VERIFY_KEYS),
        ],
    )
    def test_exit_code_2(self, arguments, keys):
        result = run(*arguments, "--json")
        assert result.returncode == 2
        assert "Remedy: " in result.stderr
        document(result, keys)
        without = run(*arguments)
        assert (without.returncode, without.stdout) == (2, "")
        assert len(without.stderr.splitlines()) == 1

    def test_several_exports(self, tmp_path):
        full_export(tmp_path / "a", ITEMS)
        incremental_export(tmp_path / "b", [])
        result = run("verify", tmp_path, "--json")
        assert result.returncode == 2
        assert "2 exports" in document(result, VERIFY_KEYS)["errors"][0]["cause"]

    def test_destination_is_a_file(self, tmp_path):
        (tmp_path / "file").touch()
        assert run("convert", GENUINE, "--to", tmp_path / "file").returncode == 2

    def test_version(self):
        result = run("--version")
        assert (result.returncode, result.stdout) == (0, f"ddb-export {ddb_export.__version__}\n")

    @pytest.mark.parametrize("arguments", [["--help"], ["verify", "--help"], ["convert", "--help"]])
    def test_help_has_an_example_and_fits_80_columns(self, arguments):
        result = run(*arguments, PYTHONIOENCODING="ascii", COLUMNS="200")
        assert (result.returncode, result.stderr) == (0, "")
        assert "example:\n  ddb-export " in result.stdout
        assert max(map(len, result.stdout.splitlines())) <= 80


class TestNotReachable:
    def test_nothing_there(self, tmp_path):
        result = run("verify", tmp_path / "nowhere", "--json")
        assert result.returncode == 3
        document(result, VERIFY_KEYS)

    def test_bucket_that_does_not_exist(self, lab, account):
        result = self.in_s3(lab, account, "verify", "s3://no-such-bucket/x", "--json")
        assert result.returncode == 3
        assert "NoSuchBucket" in document(result, VERIFY_KEYS)["errors"][0]["cause"]

    def test_forbidden(self, lab, account, aws):
        aws("s3").create_bucket(Bucket="closed")
        lab.deny(account, "s3:ListBucket")
        result = self.in_s3(lab, account, "verify", "s3://closed/x", "--json")
        assert result.returncode == 3
        assert "grant" in document(result, VERIFY_KEYS)["errors"][0]["remedy"]

    def test_nobody_answers(self, account):
        result = run(
            "verify", "s3://bucket/x", "--endpoint-url", "http://127.0.0.1:9", "--json", **credentials(account)
        )
        assert result.returncode == 3
        document(result, VERIFY_KEYS)

    def test_no_credentials(self):
        result = run("convert", "s3://bucket/x", "--to", "x", "--json", AWS_EC2_METADATA_DISABLED="true")
        assert result.returncode == 3
        assert "credentials" in document(result, CONVERT_KEYS)["errors"][0]["remedy"]

    def test_from_s3_to_s3(self, lab, account, aws, tmp_path):
        client = aws("s3")
        client.create_bucket(Bucket="exports")
        export = full_export(tmp_path, ITEMS)
        for path in (each for each in tmp_path.rglob("*") if each.is_file()):
            client.upload_file(str(path), "exports", f"p/{path.relative_to(tmp_path)}")
        result = self.in_s3(lab, account, "convert", "s3://exports/p", "--to", "s3://exports/lake/orders", "--json")
        parsed = document(result, CONVERT_KEYS)
        assert parsed["export_arn"] == export.arn
        assert all(each["path"].startswith("s3://exports/lake/orders/snapshots/") for each in parsed["outputs"])
        assert len(parsed["outputs"]) == 2

    @staticmethod
    def in_s3(lab: Any, account: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run(*arguments, "--region", "us-east-1", AWS_ENDPOINT_URL=lab.endpoint_url, **credentials(account))


class TestStopped:
    @pytest.fixture(scope="class")
    def large(self, tmp_path_factory) -> Path:
        items = [{"id": {"S": str(n)}, "text": {"S": "x" * 500}} for n in range(60_000)]
        return full_export(tmp_path_factory.mktemp("large"), [items[:30_000], items[30_000:]]).root

    @pytest.mark.parametrize(
        ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
    )
    def test_nothing_is_visible(self, large, tmp_path, number, code):
        command = [*PROGRAM, "convert", str(large), "--to", str(tmp_path / "lake"), "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".lake.ddb_export-*/content/snapshots/*/*/part-00000.parquet")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == code
        assert not (tmp_path / "lake").exists()
        if number != signal.SIGKILL:
            assert list(tmp_path.iterdir()) == []
            assert list(json.loads(output)) == CONVERT_KEYS
            assert errors.startswith("ddb-export: stopped by ")
            return
        result = run("convert", large, "--to", tmp_path / "lake", "--json")
        assert document(result, CONVERT_KEYS)["rows"] == 60_000
        assert [path.name for path in tmp_path.iterdir()] == ["lake"]

    def test_memory_stays_small(self, large, tmp_path):
        command = [*PROGRAM, "convert", str(large), "--to", str(tmp_path / "lake")]
        # Linux counts the memory of whoever forks as the child's own, so a small process has to start the command.
        launcher = (
            "import resource, subprocess, sys\n"
            "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        result = subprocess.run([sys.executable, "-S", "-c", launcher, *command], capture_output=True, check=True)
        assert 30 * 1024 < int(result.stdout) < 300 * 1024

    def test_reader_of_the_output_that_goes_away(self):
        command = f"{' '.join(PROGRAM)} verify {GENUINE} | true"
        assert subprocess.run(command, shell=True, capture_output=True, check=False).stderr == b""


def test_progress_only_on_a_terminal(tmp_path):
    shutil.copytree(GENUINE, tmp_path / "export")
    parent, child = pty.openpty()
    command = [*PROGRAM, "verify", str(tmp_path / "export"), "--json"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=child, text=True, check=True)
    os.close(child)
    shown = os.read(parent, 10_000).decode()
    os.close(parent)
    assert "verify" in shown
    assert shown.endswith("\r\x1b[K")
    assert json.loads(result.stdout)["ok"]


def test_fault_of_the_program_keeps_the_promise_of_json(monkeypatch, capsys):
    monkeypatch.setattr("ddb_export.cli.verify.Places", lambda _arguments: 1 / 0)
    assert main(["verify", "x", "--json"]) == 70
    output = capsys.readouterr()
    assert list(json.loads(output.out)) == VERIFY_KEYS
    assert "ZeroDivisionError" in output.err.splitlines()[-1]


def test_console_script_is_the_same_program():
    script = Path(sys.executable).with_name("ddb-export")
    result = subprocess.run([script, "verify", GENUINE, "--json"], capture_output=True, text=True, check=True)
    assert result.stdout == run("verify", GENUINE, "--json").stdout


def test_help_and_local_verification_load_nothing_heavy():
    code = (
        "import sys\nfrom ddb_export.cli import main\n"
        f"main(['verify', {str(GENUINE)!r}])\n"
        "print(sorted({'airflow', 'boto3', 'botocore', 'pyarrow', 'pydantic'} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"


def test_commands_are_complete():
    assert [command.name for command in COMMANDS] == [
        "verify", "convert", "status", "gaps", "plan", "widen", "compact", "prune", "ledger", "init", "check", "policy", "doctor",
        "cost", "lifecycle",
    ]  # fmt: skip
    assert list(COMMANDS[0].empty_document) == VERIFY_KEYS
    assert list(COMMANDS[1].empty_document) == CONVERT_KEYS


def credentials(account: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "lab"}
