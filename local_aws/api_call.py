"""What a request is: its account, region, service, operation, IAM action and the parameters that identify it.

Never item data: parameters are taken by name from a list.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from local_aws import hooks
from local_aws.authorization import Need, needs

# Parameters of JSON and query requests that name a thing; everything else is left out of records.
IDENTIFYING = frozenset(
    [
        "TableName",
        "TableArn",
        "ExportArn",
        "ClientToken",
        "ClientRequestToken",
        "S3Bucket",
        "S3Prefix",
        "S3BucketOwner",
        "RoleArn",
        "ExternalId",
        "ExportType",
        "ExportTime",
        "ExportFormat",
        "IncrementalExportSpecification",
        "PointInTimeRecoverySpecification",
        "ResourceArn",
        "StreamArn",
        "StreamViewType",
        "MaxResults",
        "NextToken",
        "ExclusiveStartTableName",
        "Limit",
        "DatabaseName",
        "Database",
        "Name",
        "CatalogId",
        "VersionId",
        "SkipArchive",
        "PartitionValues",
        "PartitionValueList",
        "Expression",
        "Segment",
        "QueryExecutionId",
        "WorkGroup",
        "ResultConfiguration",
        "QueryExecutionContext",
        "TopicArn",
        "TopicName",
        "QueueUrl",
        "QueueName",
        "RoleArn",
        "RoleSessionName",
        "RoleName",
        "KeyId",
        "AliasName",
        "Source",
        "UserName",
        "PolicyArn",
        "IndexName",
        "Segment",
        "TotalSegments",
        "Select",
    ]
)
S3_QUERY = {
    "prefix": "Prefix",
    "start-after": "StartAfter",
    "delimiter": "Delimiter",
    "max-keys": "MaxKeys",
    "continuation-token": "ContinuationToken",
    "uploadId": "UploadId",
    "partNumber": "PartNumber",
    "versionId": "VersionId",
}
S3_HEADERS = {
    "range": "Range",
    "if-match": "IfMatch",
    "if-none-match": "IfNoneMatch",
    "x-amz-expected-bucket-owner": "ExpectedBucketOwner",
    "x-amz-copy-source": "CopySource",
    "x-amz-server-side-encryption": "ServerSideEncryption",
}
S3_OBJECT = {
    "GET": "GetObject",
    "PUT": "PutObject",
    "HEAD": "HeadObject",
    "DELETE": "DeleteObject",
    "POST": "PostObject",
}
S3_BUCKET = {
    "GET": "ListObjects",
    "PUT": "CreateBucket",
    "HEAD": "HeadBucket",
    "DELETE": "DeleteBucket",
    "POST": "PostObject",
}
S3_SUBRESOURCES = {
    "acl": "Acl",
    "tagging": "Tagging",
    "policy": "Policy",
    "versioning": "Versioning",
    "encryption": "Encryption",
    "lifecycle": "LifecycleConfiguration",
    "publicAccessBlock": "PublicAccessBlock",
    "ownershipControls": "OwnershipControls",
    "location": "Location",
    "cors": "Cors",
    "notification": "NotificationConfiguration",
}


@dataclass
class ApiCall:
    """One request, as the record of calls, the faults and the permissions see it."""

    account: str
    region: str
    service: str
    operation: str
    action: str | None
    resource: str
    json_protocol: bool
    parameters: dict[str, Any] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()

    def subject(self) -> dict[str, Any]:
        """What a fault's ``match`` may name."""
        named = dict(self.parameters)
        named |= {"service": self.service, "operation": self.operation}
        for short, names in (("bucket", ("Bucket", "S3Bucket")), ("key", ("Key",)), ("prefix", ("Prefix", "S3Prefix"))):
            named[short] = next((self.parameters[name] for name in names if name in self.parameters), "")
        arn = str(self.parameters.get("ExportArn") or self.parameters.get("TableArn") or "")
        table = arn.partition(":table/")[2].partition("/")[0]
        named["table"] = self.parameters.get("TableName") or table
        named["export_type"] = self.parameters.get("ExportType", "")
        named["export_arn"] = self.parameters.get("ExportArn", "")
        named["client_token"] = self.parameters.get("ClientToken", "")
        return named


def identify(method: str, raw_path: str, query: bytes, headers: dict[str, str], body: bytes) -> ApiCall:
    """The call that a request makes. Sets the request's account for the code that follows, as ministack does."""
    router, responses = hooks.router(), hooks.responses()
    path = unquote(raw_path)
    params = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    key_id = router.extract_access_key_id(headers, params)
    if key_id:
        responses.set_request_account_id(key_id)
    account = str(responses.get_account_id())
    region = str(router.extract_region(headers, params))
    routing = hooks.app()._routing_params(method, path, headers, body, params)
    service = str(router.detect_service(method, path, headers, routing))
    if headers.get("x-amz-target", "").startswith("DynamoDBStreams_"):
        service = "dynamodbstreams"
    bucket = hooks.app()._extract_s3_vhost_bucket(headers.get("host", ""))
    if bucket:
        service, path = "s3", f"/{bucket}{path}"
    target = headers.get("x-amz-target", "")
    action = hooks.iam_actions().extract_iam_action(service, method, path, headers, body, routing)
    resource = str(
        hooks.iam_actions().extract_resource_arn(service, method, path, headers, body, routing, region, account)
    )
    call = ApiCall(account, region, service, "", action, resource, bool(target))
    if service == "s3":
        call.operation = _s3_operation(method, path, params, headers)
        call.parameters = _s3_parameters(path, params, headers)
    elif target:
        call.operation = target.rpartition(".")[2]
        call.parameters = _json_parameters(body)
    else:
        flat = {name: values[0] if isinstance(values, list) else values for name, values in routing.items()}
        call.operation = str(flat.get("Action") or f"{method} {path}")
        call.parameters = {name: value for name, value in flat.items() if name in IDENTIFYING}
    with responses.request_scope(account, region):
        call.needs = needs(
            service, call.operation, action, resource, parameters=call.parameters, place=f"{region}:{account}"
        )
    return call


def _json_parameters(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body) if body else {}
    except ValueError:
        return {}
    if not isinstance(data, dict):
        return {}
    found = {name: value for name, value in data.items() if name in IDENTIFYING}
    for inner in ("TableInput", "DatabaseInput", "PartitionInput"):
        for name in ("Name", "Values"):
            if isinstance(data.get(inner), dict) and name in data[inner]:
                found[name] = data[inner][name]
    if isinstance(data.get("PartitionInputList"), list):
        found["PartitionValues"] = [entry.get("Values") for entry in data["PartitionInputList"]]
    if isinstance(data.get("Entries"), list):
        found["PartitionValues"] = [
            entry.get("PartitionValueList") for entry in data["Entries"] if isinstance(entry, dict)
        ]
    if isinstance(data.get("RequestItems"), dict):
        found["TableName"] = ",".join(sorted(data["RequestItems"]))
    return found


def _bucket_and_key(path: str) -> tuple[str, str]:
    bucket, _slash, key = path.lstrip("/").partition("/")
    return bucket, key


def _s3_operation(method: str, path: str, params: dict[str, list[str]], headers: dict[str, str]) -> str:
    bucket, key = _bucket_and_key(path)
    verb = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}.get(method, method.title())
    kind = "Object" if key else "Bucket"
    for name, subresource in S3_SUBRESOURCES.items():
        if name in params:
            return f"{verb}{'' if name == 'publicAccessBlock' else kind}{subresource}"
    if not key:
        return _s3_bucket_operation(method, params) if bucket else "ListBuckets"
    return _s3_object_operation(method, params, headers)


def _s3_object_operation(method: str, params: dict[str, list[str]], headers: dict[str, str]) -> str:
    if "uploads" in params:
        return "CreateMultipartUpload"
    if "uploadId" in params:
        names = {
            "PUT": "UploadPart",
            "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload",
            "GET": "ListParts",
        }
        return names.get(method, method)
    if method == "PUT" and "x-amz-copy-source" in headers:
        return "CopyObject"
    return S3_OBJECT.get(method, method)


def _s3_bucket_operation(method: str, params: dict[str, list[str]]) -> str:
    if method == "POST" and "delete" in params:
        return "DeleteObjects"
    if method == "GET" and "uploads" in params:
        return "ListMultipartUploads"
    if method == "GET" and "versions" in params:
        return "ListObjectVersions"
    if method == "GET" and params.get("list-type") == ["2"]:
        return "ListObjectsV2"
    return S3_BUCKET.get(method, method)


def _s3_parameters(path: str, params: dict[str, list[str]], headers: dict[str, str]) -> dict[str, Any]:
    bucket, key = _bucket_and_key(path)
    found: dict[str, Any] = {"Bucket": bucket} if bucket else {}
    if key:
        found["Key"] = key
    found |= {name: params[query][0] for query, name in S3_QUERY.items() if query in params}
    found |= {name: headers[header] for header, name in S3_HEADERS.items() if header in headers}
    return found
