"""The bundle for an Airflow and a lab that run elsewhere, as docker-compose.yaml's profile ``lab`` makes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ddb_export import load_tables
from demo.cloud import Cloud
from demo.lab_tables import CONNECTION, DAG_FILE, main
from local_aws.client import Lab


@pytest.fixture(name="lab_of_its_own")
def start_lab() -> Iterator[Lab]:
    with Lab.start() as lab:
        yield lab


def test_the_flights_lie_in_the_lab_and_the_bundle_declares_them(lab_of_its_own, tmp_path, capsys):
    endpoint = lab_of_its_own.endpoint_url
    assert main(["--endpoint-url", endpoint, "--into", str(tmp_path)]) == 0
    table = Cloud(Lab(endpoint)).client("dynamodb").describe_table(TableName="flights")["Table"]
    assert table["ItemCount"] > 1000
    (declared,) = load_tables(tmp_path / "tables")
    assert (declared.table, declared.aws_conn_id, declared.catchup) == ("flights", CONNECTION, True)
    assert (tmp_path / DAG_FILE).read_bytes() == (Path(__file__).parents[2] / "dags" / DAG_FILE).read_bytes()
    assert main(["--endpoint-url", endpoint, "--into", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("laid down") == 1


def test_without_a_lab_it_says_so_in_one_line(tmp_path, capsys):
    assert main(["--endpoint-url", "http://127.0.0.1:9", "--into", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1
