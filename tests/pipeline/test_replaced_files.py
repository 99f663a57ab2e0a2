"""Raw files that were replaced behind our back, with everything else as it was: each check alone has to notice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from ddb_export.exceptions import DdbExportError, VerificationError
from ddb_export.pipeline.file_groups import FileGroup
from ddb_export.pipeline.verification import VerificationLevel
from local_aws.client import Lab
from tests.pipeline.tables import LakeTable


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    made = LakeTable(lab, account, aws)
    made.put(1, "a")
    made.until(25)
    return made


def data_file(table: LakeTable, prefix: str) -> str:
    """Return the key of the data file that holds the item."""
    keys = [each.key for each in table.store.list_objects(prefix) if each.key.endswith(".json.gz")]
    return next(key for key in keys if gzip.decompress(table.store.read(key).content))


@pytest.mark.scenario("F16")
def test_whoever_may_not_read_the_data_sees_by_the_etag_that_a_file_was_replaced(table):
    claim = table.claim(0, 24)
    description = table.export(claim)
    key = data_file(table, claim.request.s3_prefix)
    record = gzip.decompress(table.store.read(key).content)
    table.store.put(key, gzip.compress(record.replace(b'"a"', b'"b"'), mtime=0))
    with pytest.raises(VerificationError, match=r"its ETag is \w+, the manifest says .*Remedy: verify at level bytes"):
        table.work.verify(claim, description, None, table.now, VerificationLevel.MANIFEST)
    assert table.ledger.read().verified == {}


@pytest.mark.scenario("F16")
def test_a_summary_that_names_another_export_is_not_the_one_that_was_verified(table):
    entry = table.verified(0, 24)
    summary = json.loads(table.store.read(entry.manifest_key).content)
    export_id = entry.export_arn.rsplit("/", 1)[1]
    other = export_id[:-8] + ("0" * 8 if not export_id.endswith("0" * 8) else "1" * 8)
    summary["exportArn"] = entry.export_arn.replace(export_id, other)
    table.store.put(entry.manifest_key, json.dumps(summary).encode())
    table.store.delete(entry.manifest_key.replace(".json", ".md5"))
    with pytest.raises(VerificationError, match="it is missing, or not the manifest that was verified"):
        table.work.scan(entry, FileGroup(entry.export, 0, 1))


@pytest.mark.scenario("F3")
@pytest.mark.parametrize("refusal", ["denied", "throttled"])
def test_whoever_cannot_ask_after_exports_starts_no_second_one(table, refusal):
    claim = table.claim(0, 24)
    table.export(claim)
    table.until(25 + 9)
    operation = {"service": "dynamodb", "operation": "DescribeExport"}
    if refusal == "denied":
        table.lab.deny(table.account, "dynamodb:DescribeExport")
    else:
        table.lab.add_fault("throttle", account=table.account, times=None, **operation)
    with pytest.raises(DdbExportError, match="DescribeExport"):
        table.exports.find_or_start(claim, table.now)
    assert len(table.started()) == 1
