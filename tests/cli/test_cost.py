"""``ddb-export cost`` as a person runs it, on ledgers of the lab and of a local folder."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ddb_export.aws.object_store import LocalObjectStore
from ddb_export.cli import main
from ddb_export.cli.cost import EMPTY_DOCUMENT
from ddb_export.domain.layout import Lake
from ddb_export.pipeline.ledger import Ledger, Wanted
from tests.domain.test_gaps import ARN, BASE, claim, entry


def keep(folder: Path, name: str = "orders") -> str:
    """Write a ledger: a base of 2 GB claimed in March, a window of 50 MB in April, one that is not verified."""
    ledger = Ledger(LocalObjectStore(folder), Lake("", "lake", name))
    ledger.own(ARN, BASE)
    for draft, days, billed in ((claim(1, None), 0, 2 * 10**9), (claim(1, 0), 40, 50_000_000), (claim(1, 1), 40, None)):
        (made,) = ledger.claim([Wanted(draft.kind, draft.request, "test")], "id", BASE + timedelta(days=days))
        if billed is not None:
            ledger.record_verified(replace(entry(made), billed_bytes=billed, files=4))
    return str(folder / "lake" / name)


def test_months_add_up_what_each_export_was_billed(tmp_path, capsys):
    assert main(["cost", keep(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == list(EMPTY_DOCUMENT)
    (table,) = document["tables"]
    requests, count = Decimal(4 * 3 + 5) * Decimal("0.000005"), Decimal("0.00005")
    region = ARN.split(":")[3]
    per_gb = Decimal("0.10") if region == "us-east-1" else Decimal("0.12")
    factor = per_gb / Decimal("0.10")
    march, april = table["months"]
    assert (march["month"], march["exports"], march["full_bytes"]) == ("2026-03", 1, 2 * 10**9)
    assert Decimal(march["usd"]) == 2 * per_gb + (requests + count) * factor
    assert (april["month"], april["incremental_bytes"]) == ("2026-04", 50_000_000)
    assert Decimal(april["usd"]) == Decimal("0.05") * per_gb + (requests + count) * factor
    assert Decimal(document["usd"]) == sum(Decimal(each["usd"]) for each in table["exports"])
    assert [each["month"] for each in table["exports"]] == ["2026-03", "2026-04"]
    assert table["pending"] == 1


def test_report_and_picture(tmp_path, capsys):
    plot = tmp_path / "cost.svg"
    assert main(["cost", keep(tmp_path, "a&b"), "--plot", str(plot)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("2 exports billed, about 0.2")
    assert ["a&b", "2026-03", "1", "2.0", "GB", "0", "B"] in [line.split()[:7] for line in out.splitlines()]
    assert "1 export not verified yet, not counted" in out
    assert "as of 20" in out
    picture = ET.fromstring(plot.read_text())
    titles = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert [str(title).split(":")[0] for title in titles] == ["a&b 2026-03", "a&b 2026-04"]


def test_no_ledger_is_no_bill(tmp_path, capsys):
    assert main(["cost", str(tmp_path / "orders"), "--json"]) == 3
    assert "nothing was exported" in json.loads(capsys.readouterr().out)["errors"][0]["cause"]


@pytest.mark.parametrize("plot", [[], ["--plot"]])
def test_all_configured_tables(lab, account, aws, tmp_path, capsys, monkeypatch, plot):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    aws("s3").create_bucket(Bucket="lake")
    shared = "bucket: lake\nprefix: d\ndatabase: lake\nschedule: '@daily'\nstart_date: 2026-01-01\nregion: us-east-1\n"
    (tmp_path / "_defaults.yaml").write_text(shared)
    for name in ("orders", "items"):
        (tmp_path / f"{name}.yaml").write_text(f"table: {name}\n")
    arguments = ["cost", "--tables", str(tmp_path), "--endpoint-url", lab.endpoint_url]
    assert main([*arguments, *plot, *([str(tmp_path / "empty.svg")] if plot else [])]) == 0
    assert capsys.readouterr().out.count("no ledger: nothing was exported yet") == 2
