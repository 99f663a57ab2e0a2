"""Which actions on which ARNs one table needs, each with its reason and its source.

Sources are named by their titles: *SAR* is AWS's Service Authorization Reference, *DynamoDB* the DynamoDB developer guide, *S3*, *KMS*, *Athena*,
*Glue*, *IAM* the services' own guides.

Three of AWS's rules shape all of it. An export writes to the bucket with its caller's rights (DynamoDB, "Requesting a table export"). S3
answers a GET of a missing key with 403 instead of 404 to who may not list the bucket (S3, GetObject), and such a GET carries no
``s3:prefix``, so that a condition on it would turn each first look into an empty ledger into a refusal. Glue asks for the
catalog, the database and the table of each call (Glue, "Specifying AWS Glue resource ARNs").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ddb_export.domain.policy_documents import (
    GLUE_SOURCE,
    Grant,
    PolicySubject,
    Variant,
    bucket_policy,
    key_policy,
    role_policy,
)
from ddb_export.domain.policy_on_request import ON_REQUEST

__all__ = ["Grant", "PolicySubject", "Variant", "bucket_policy", "grants", "key_policy", "role_policy"]

_EXPORTING = frozenset({Variant.RUNS, Variant.NO_DATA})
_HOLDING_ITEMS = ("snapshots", "changes", "quarantine", "archive")
_READING = frozenset({Variant.RUNS, Variant.REPLAY})


def grants(subject: PolicySubject, variant: Variant) -> list[Grant]:
    """Return everything that a role needs for a table, and nothing more."""
    if variant in ON_REQUEST:
        return list(ON_REQUEST[variant](subject))
    return [
        *_dynamodb(subject, variant),
        *_lake(subject, variant),
        *_outputs(subject, variant),
        *_catalog(subject, variant),
        *_athena(subject, variant),
        *_key(subject, variant),
    ]


def _dynamodb(subject: PolicySubject, variant: Variant) -> Iterator[Grant]:
    yield Grant(
        "SeeTable",
        (
            "dynamodb:DescribeTable",
            "dynamodb:DescribeContinuousBackups",
            "dynamodb:DescribeTimeToLive",
            "dynamodb:ListExports",
        ),
        (subject.table_arn,),
        "a run asks which table this is, how far recovery reaches, which attribute is the TTL, and finds its exports again",
        "SAR, Amazon DynamoDB: resource type table, for ListExports too where the call names the table, as ours do",
    )
    if variant in _EXPORTING:
        yield Grant(
            "StartExports",
            ("dynamodb:ExportTableToPointInTime",),
            (subject.table_arn,),
            "exports are started",
            "SAR, Amazon DynamoDB: resource type table; DynamoDB, Requesting a table export",
        )
    yield Grant(
        "SeeExports",
        ("dynamodb:DescribeExport",),
        (f"{subject.table_arn}/export/*",),
        "a run waits for its exports and compares them with their claims",
        "SAR, Amazon DynamoDB: resource type export",
    )


def _lake(subject: PolicySubject, variant: Variant) -> Iterator[Grant]:
    yield Grant(
        "ListLake",
        ("s3:ListBucket",),
        (subject.bucket_arn,),
        "the ledger and exports are found by listing, and a missing key is answered 404, not 403; a condition on s3:prefix would break that",
        "S3, GetObject, Permissions; SAR, Amazon S3: resource type bucket",
    )
    yield Grant(
        "KeepLedger",
        ("s3:GetObject", "s3:PutObject"),
        subject.lake("ledger/*"),
        "claims and evidence are read and written; nothing of it is ever deleted",
        "SAR, Amazon S3: resource type object",
    )
    if variant in _EXPORTING:
        yield Grant(
            "WriteExports",
            ("s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"),
            subject.lake("raw/*"),
            "DynamoDB writes an export with the rights of who asked for it; without them it ends as FAILED with S3AccessDenied",
            "DynamoDB, Requesting a table export, Set up S3 permissions",
            # The record holds what clients ask for; DynamoDB's own writes are in none.
            unseen=frozenset({"s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"}),
        )
    if variant is Variant.NO_DATA or not subject.reads_data:
        yield Grant(
            "ReadManifests",
            ("s3:GetObject",),
            subject.lake("raw/*/manifest-*"),
            "verification at level manifest reads the manifests and their checksums, and lists the data files",
            "DynamoDB, DynamoDB table export output format",
        )
    else:
        yield Grant(
            "ReadExports",
            ("s3:GetObject",),
            subject.lake("raw/*"),
            "manifests and data files are verified byte by byte and converted",
            "SAR, Amazon S3: resource type object",
        )
    if variant is Variant.NO_DATA:
        yield Grant(
            "NeverReadData",
            ("s3:GetObject", "s3:GetObjectVersion"),
            subject.lake("raw/*/data/*", *(f"{folder}/*" for folder in _HOLDING_ITEMS)),
            "whatever else the role is allowed, it cannot read what was exported, nor what was made of it",
            "IAM, Policy evaluation logic: an explicit deny wins",
            denies=True,
        )


def _outputs(subject: PolicySubject, variant: Variant) -> Iterator[Grant]:
    outputs = sorted(subject.typed_tables)
    if variant not in _READING or not outputs:
        return
    yield Grant(
        "WriteOutputs",
        ("s3:PutObject", "s3:AbortMultipartUpload"),
        subject.lake(*(f"{output}/*" for output in (*outputs, "quarantine"))),
        "converted files are written, in parts if they are large; an upload that breaks is taken back",
        "S3, Multipart upload API and permissions",
        unseen=frozenset({"s3:AbortMultipartUpload"}),
    )
    yield Grant(
        "ReadOutputs",
        ("s3:GetObject",),
        subject.lake(*(f"{output}/*" for output in outputs)),
        "Athena reads them in the name of who asks; small files are merged; a lost ledger is rebuilt from them",
        "Athena, Control access to Amazon S3 from Athena",
    )
    if "changes" in outputs:
        yield Grant(
            "HideReplaced",
            ("s3:DeleteObject",),
            subject.lake("changes/*/_live.json"),
            "a window that replaces others hides them from who reads by path; no data file is deleted",
            "SAR, Amazon S3: resource type object",
        )


_WRITE_TABLES = (
    "glue:GetTable",
    "glue:CreateTable",
    "glue:UpdateTable",
    "glue:BatchCreatePartition",
    "glue:BatchUpdatePartition",
)
_ASKED_BY_ATHENA = ("glue:GetDatabase", "glue:GetPartition", "glue:GetPartitions")


def _catalog(subject: PolicySubject, variant: Variant) -> Iterator[Grant]:
    typed = tuple(subject.typed_tables[output] for output in sorted(subject.typed_tables))
    tables = (*typed, *subject.raw_tables)
    if variant is Variant.NO_DATA or not subject.reads_data:
        if typed:
            yield _see_catalog(subject, typed)
        if subject.raw_tables:
            yield _publish(subject, subject.raw_tables, (*_WRITE_TABLES, *_hiding(subject)), frozenset())
        return
    if not tables:
        return
    indexing = ("glue:CreatePartitionIndex",) if subject.partition_index else ()
    actions = (*_WRITE_TABLES, "glue:BatchGetPartition", *_hiding(subject), *indexing, *_ASKED_BY_ATHENA)
    yield _publish(subject, tables, actions, frozenset(_ASKED_BY_ATHENA))
    if subject.views:
        yield Grant(
            "KeepViews",
            ("glue:GetTable", "glue:CreateTable", "glue:UpdateTable"),
            subject.glue_tables(subject.views),
            "helper views are tables of the catalog, which Athena writes in the name of who asks",
            f"{GLUE_SOURCE}; Athena, Configure access to databases and tables in the AWS Glue Data Catalog",
            unseen=frozenset({"glue:CreateTable", "glue:UpdateTable"}),
        )


def _hiding(subject: PolicySubject) -> tuple[str, ...]:
    return ("glue:DeletePartition",) if "changes" in subject.typed_tables or subject.raw_tables else ()


def _see_catalog(subject: PolicySubject, tables: Sequence[str]) -> Grant:
    reason = "an empty ledger beside published tables is no first run"
    return Grant("SeeCatalog", ("glue:GetTable",), subject.glue_tables(tables), reason, GLUE_SOURCE)


def _publish(subject: PolicySubject, tables: Sequence[str], actions: tuple[str, ...], unseen: frozenset[str]) -> Grant:
    return Grant(
        "PublishTables",
        actions,
        subject.glue_tables(tables),
        "tables and partitions are shown; Athena reads them in the name of who asks, a widening that was interrupted is ended",
        f"{GLUE_SOURCE}; Athena, Configure access to databases and tables in the AWS Glue Data Catalog",
        unseen=unseen,
    )


def _athena(subject: PolicySubject, variant: Variant) -> Iterator[Grant]:
    if variant not in _READING or not subject.typed_tables:
        return
    yield Grant(
        "AskAthena",
        ("athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults"),
        (f"arn:{subject.partition}:athena:{subject.region}:{subject.account}:workgroup/{subject.workgroup}",),
        "the last task of a run counts what Athena sees",
        "SAR, Amazon Athena: resource type workgroup",
    )
    on_bucket = ("s3:GetBucketLocation", "s3:ListBucketMultipartUploads")
    listing = () if subject.results_bucket == subject.bucket else ("s3:ListBucket",)
    source = "Athena, AWS managed policy AmazonAthenaFullAccess; Specify a query result location"
    yield Grant(
        "FindResults",
        (*on_bucket, *listing),
        (subject.results_arn,),
        "Athena looks for the place of its results in the name of who asks",
        source,
        unseen=frozenset((*on_bucket, *listing)),
    )
    on_objects = ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
    yield Grant(
        "KeepResults",
        on_objects,
        (subject.results_objects,),
        "Athena writes and reads its results in the name of who asks",
        source,
        unseen=frozenset(on_objects),
    )


def _key(subject: PolicySubject, variant: Variant) -> Iterator[Grant]:
    actions = ("kms:Decrypt", "kms:GenerateDataKey") if variant in _EXPORTING else ("kms:Decrypt",)
    grant = subject.key_grant(
        actions,
        "S3 encrypts what an export writes, part by part, and decrypts what is read, in the name of who asks",
        "DynamoDB, Requesting a table export; S3, Using server-side encryption with AWS KMS keys, Permissions",
    )
    if grant:
        yield grant
