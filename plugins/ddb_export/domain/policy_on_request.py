"""What the commands need that a person runs on request, and no run of a DAG does: roles of their own, or a person's.

Sources are named as in :mod:`ddb_export.domain.policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ddb_export.domain.policy_documents import GLUE_SOURCE, Grant, PolicySubject, Variant


def _lifecycle(subject: PolicySubject) -> Iterator[Grant]:
    """Yield what ``ddb-export lifecycle`` needs: it reads no data file, and can delete nothing but data files of exports."""
    outputs = sorted(subject.typed_tables)
    yield _list_lake(subject)
    yield Grant(
        "KeepLedger",
        ("s3:GetObject", "s3:PutObject"),
        subject.lake("ledger/*"),
        "evidence is read, and what is removed or tagged is written down first",
        "SAR, Amazon S3: resource type object",
    )
    yield Grant(
        "ReadManifests",
        ("s3:GetObject",),
        subject.lake("raw/*/manifest-*", *(f"{output}/*/_live.json" for output in outputs)),
        "manifests name the data files, _live.json the published ones",
        "SAR, Amazon S3: resource type object",
    )
    yield Grant(
        "MarkRemoved",
        ("s3:GetObject", "s3:PutObject"),
        subject.lake("raw/*/_raw_removed.json"),
        "a copy of what the ledger says lies beside the manifests, so that a lost ledger can be written again",
        "SAR, Amazon S3: resource type object",
        # It is read only where somebody else wrote it a moment before.
        unseen=frozenset({"s3:GetObject"}),
    )
    yield Grant(
        "RemoveRawData",
        ("s3:DeleteObject", "s3:GetObjectTagging", "s3:PutObjectTagging"),
        subject.lake("raw/*/data/*"),
        "data files of exports that may go are deleted, the others are tagged",
        "SAR, Amazon S3: resource type object; DeleteObjects needs s3:DeleteObject for each",
    )
    yield Grant(
        "SetRule",
        ("s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration"),
        (subject.bucket_arn,),
        "--apply-rules reads the bucket's rules and writes all of them again, its own among them; leave it out to set the rule by hand",
        "SAR, Amazon S3: resource type bucket",
    )
    key = subject.key_grant(
        ("kms:Decrypt", "kms:GenerateDataKey"),
        "manifests are decrypted; what is written is encrypted if the key is the bucket's default",
        "S3, Using server-side encryption with AWS KMS keys, Permissions",
    )
    if key:
        yield key


def _prune(subject: PolicySubject) -> Iterator[Grant]:
    """Yield what ``ddb-export prune`` needs: it can delete converted files, and neither raw exports nor evidence."""
    outputs = sorted(subject.typed_tables)
    if not outputs:
        return
    yield _list_lake(subject)
    yield Grant(
        "ReadLedger",
        ("s3:GetObject",),
        subject.lake("ledger/*", *(f"{output}/*/_live.json" for output in outputs)),
        "evidence says what was replaced, _live.json what readers by path are shown",
        "SAR, Amazon S3: resource type object",
    )
    yield Grant(
        "SeePartitions",
        ("glue:GetTable", "glue:BatchGetPartition", "glue:GetPartition"),
        subject.glue_tables(subject.typed_tables[output] for output in outputs),
        "nothing goes that a partition of the catalog points at",
        GLUE_SOURCE,
        # One by one they are asked for only where the answer for many does not say which are not there.
        unseen=frozenset({"glue:GetPartition"}),
    )
    yield Grant(
        "DeleteReplaced",
        ("s3:DeleteObject",),
        subject.lake(*(f"{folder}/*" for folder in (*outputs, "quarantine"))),
        "files of generations that were replaced are deleted",
        "SAR, Amazon S3: resource type object",
    )
    key = subject.key_grant(
        ("kms:Decrypt",),
        "the ledger is decrypted if the key is the bucket's default",
        "S3, Using server-side encryption with AWS KMS keys, Permissions",
    )
    if key:
        yield key


def _list_lake(subject: PolicySubject) -> Grant:
    return Grant(
        "ListLake",
        ("s3:ListBucket",),
        (subject.bucket_arn,),
        "the ledger and published files are listed, and the bucket tells the time",
        "SAR, Amazon S3: resource type bucket, for HeadBucket too",
    )


ON_REQUEST: Mapping[Variant, Callable[[PolicySubject], Iterator[Grant]]] = {
    Variant.LIFECYCLE: _lifecycle,
    Variant.PRUNE: _prune,
}
"""What is granted for each of these commands."""
