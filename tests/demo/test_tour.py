"""What ``make ui`` shows: its second table, its declarations, its port and its words. Seeing all of it is left to a person."""

from __future__ import annotations

import socket
from pathlib import Path

from ddb_export import load_tables
from demo import history, planes, tour
from demo.console import Console
from demo.history import read_flight
from demo.ui import free_or_any
from tests.demo.flights import CANCELLED, LANDED, row


def test_a_plane_is_counted_by_the_flights_that_it_flew():
    rows = [LANDED, row(day="29", distance="600", dest="ORD"), row(tailnum=""), row(tailnum="N2")]
    grounded = {**CANCELLED, "tailnum": "N3"}
    found = {
        each[planes.KEY]["S"]: each for each in planes.planes_of([read_flight(each) for each in [*rows, grounded]])
    }
    assert found.keys() == {"N14228", "N2"}
    assert found["N14228"] == {
        "tail_number": {"S": "N14228"},
        "carrier": {"S": "UA"},
        "flights": {"N": "2"},
        "miles": {"N": "2000"},
        "last_destination": {"S": "ORD"},
    }


def test_both_declarations_are_valid_and_watched(tmp_path: Path):
    shown = tour.Tour(tmp_path, Console(), days=3, port=0)
    (tmp_path / "tables").mkdir()
    shown.declare()
    tables = {table.table: table for table in load_tables(tmp_path / "tables")}
    assert tables.keys() == {history.TABLE, planes.TABLE}
    assert {table.dag_id for table in tables.values()} == {tour.FLIGHTS, tour.PLANES}
    assert all(table.sla and table.aws_conn_id == tour.CONNECTION for table in tables.values())


def test_the_words_name_every_dag_by_its_address():
    words = "\n".join(tour.guide("http://127.0.0.1:8080", "http://127.0.0.1:4566", Path("/ui"), 5))
    for dag_id in (tour.FLIGHTS, tour.PLANES, tour.FRESHNESS):
        assert f"http://127.0.0.1:8080/dags/{dag_id}\n" in words
    assert "AWS_ENDPOINT_URL=http://127.0.0.1:4566" in words
    assert "6 green runs" in words


def test_a_port_that_is_taken_is_left_to_who_has_it():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_or_any(port) == 0
    assert free_or_any(port) == port
