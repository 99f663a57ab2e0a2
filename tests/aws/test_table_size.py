"""The size that a full export is billed by: the table's and its local secondary indexes', not the global ones'.

The lab measures no index, so DynamoDB's answer is written here, in the form of botocore's own model.
"""

from __future__ import annotations

import boto3
from botocore.stub import Stubber

from ddb_export.aws.dynamodb import DynamoDBGateway


def test_local_indexes_count_and_global_ones_do_not():
    client = boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="1", aws_secret_access_key="2")
    description = {
        "TableSizeBytes": 1000,
        "LocalSecondaryIndexes": [{"IndexSizeBytes": 20}, {"IndexSizeBytes": 3}],
        "GlobalSecondaryIndexes": [{"IndexSizeBytes": 400}],
    }
    with Stubber(client) as stubber:
        stubber.add_response("describe_table", {"Table": description}, {"TableName": "orders"})
        assert DynamoDBGateway(client).size("orders") == 1023
