"""Puts a data file into the folder of a full export, with manifests and checksums as DynamoDB writes them (Developer Guide, "DynamoDB table export output format")."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

_EXPORT_ID = "01768386900123-a339e52d"
_TABLE_ARN = "arn:aws:dynamodb:eu-north-1:123456789012:table/orders"


def put_into_export(data_file: Path, root: Path, items: int, size: int) -> Path:
    """Move a data file into a new export of a full table.

    :param items: items in the file. :param size: its uncompressed bytes, as the bill has them.
    :return: where the data file lies now; the export's folder is its grandparent.
    """
    folder = root / "AWSDynamoDB" / _EXPORT_ID
    (folder / "data").mkdir(parents=True)
    data = data_file.rename(folder / "data" / f"{'a' * 26}.json.gz")
    with data.open("rb") as content:
        checksum = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).digest()
    key = f"AWSDynamoDB/{_EXPORT_ID}"
    entry = {
        "itemCount": items,
        "md5Checksum": base64.b64encode(checksum).decode(),
        "etag": f"{checksum.hex()}-1",
        "dataFileS3Key": f"{key}/data/{data.name}",
    }
    summary = {
        "version": "2020-06-30",
        "exportArn": f"{_TABLE_ARN}/export/{_EXPORT_ID}",
        "startTime": "2026-01-14T10:35:24.000Z",
        "endTime": "2026-01-14T10:40:27.622Z",
        "tableArn": _TABLE_ARN,
        "tableId": "cf263806-1111-2222-3333-444455556666",
        "exportTime": "2026-01-14T10:30:00.000Z",
        "s3Bucket": "exports",
        "s3Prefix": None,
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{key}/manifest-files.json",
        "billedSizeBytes": size,
        "itemCount": items,
        "outputFormat": "DYNAMODB_JSON",
    }
    for name, document in (("manifest-files", entry), ("manifest-summary", summary)):
        text = json.dumps(document) + "\n"
        (folder / f"{name}.json").write_text(text)
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).digest()
        (folder / f"{name}.md5").write_text(base64.b64encode(md5).decode())
    return data
