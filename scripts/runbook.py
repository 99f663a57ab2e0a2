"""Writes the tables of AWS's codes in docs/runbook.md from the code that explains them: DynamoDB's refusals, FailureCodes, all others."""

from __future__ import annotations

import sys
from pathlib import Path

from ddb_export.aws import errors
from ddb_export.domain.failures import FAILURES, REFUSALS, Refusal
from ddb_export.exceptions import DdbExportError

PAGE = Path(__file__).parents[1] / "docs" / "runbook.md"
MARK = "<!-- made by scripts/runbook.py: make runbook -->\n"

_EXPLAINED = {each.code for each in (*REFUSALS, *FAILURES)}


def page() -> str:
    """Return the page as it has to be."""
    head, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    return (
        f"{head}{MARK}\n{_table(REFUSALS)}\n## How exports fail\n\n{_table(FAILURES)}\n## What AWS's other answers mean\n\n"
        "S3, Glue, Athena, STS and KMS answer with these, and DynamoDB with some of them. It worked when the task's next try, or\n"
        f"`ddb-export doctor TABLE`, goes on.\n\n{_others()}"
    )


def aws_codes() -> tuple[str, ...]:
    """Return every error code of AWS that the gateways know, DynamoDB's refusals of exports included."""
    families = [code for codes, _, _ in errors._FAMILIES for code in sorted(codes)]
    return tuple(dict.fromkeys((*errors._KINDS, *errors._BUCKETS, *families)))


def _table(refusals: tuple[Refusal, ...]) -> str:
    lines = ["| code | what is the case | do this | tried again by itself |", "|---|---|---|---|"]
    seen: set[str] = set()
    for each in refusals:
        anchor = "" if each.code in seen else f'<a id="{each.code}"></a>'
        seen.add(each.code)
        says = f" (`…{each.says}…`)" if each.says else ""
        passes = "yes" if each.passes else "no"
        lines.append(f"| {anchor}`{each.code}`{says} | {each.cause} | {each.remedy} | {passes} |")
    return "\n".join(lines) + "\n"


def _others() -> str:
    """Return a row for all codes together that mean the same and are mended alike."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for code in aws_codes():
        if code not in _EXPLAINED:
            rows.setdefault(_meaning(code), []).append(code)
    lines = ["| codes | what is the case | do this | tried again by itself |", "|---|---|---|---|"]
    for (cause, remedy, passes), codes in rows.items():
        names = ", ".join(f'<a id="{code}"></a>`{code}`' for code in codes)
        lines.append(f"| {names} | {cause} | {remedy} | {passes} |")
    return "\n".join(lines) + "\n"


def _meaning(code: str) -> tuple[str, str, str]:
    kind, remedy = errors.kind_and_remedy(code, "the call that the message names")
    passes = "yes" if kind("", "", "", code=code).retryable else "no"
    return _cause(code, kind), remedy, passes


_CAUSES: dict[frozenset[str], str] = {
    errors.CREDENTIAL_CODES: "the AWS credentials are not, or no longer, valid",
    frozenset({"RequestTimeTooSkewed"}): "the clock of this machine is wrong by more than a quarter of an hour",
    frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}): (
        "the bucket is in another region"
    ),
    frozenset({"NoSuchBucket"}): "there is no bucket of this name",
    frozenset({"InvalidBucketName"}): "no bucket can have this name",
    errors._THROTTLED: "too many calls in a short time",
}


def _cause(code: str, kind: type[DdbExportError]) -> str:
    """Return what is the case: in words of this page where a code says more than the class of its error."""
    own = next((words for codes, words in _CAUSES.items() if code in codes), None)
    said = str(kind.__doc__).strip().splitlines()[0].rstrip(".")
    return own or said[0].lower() + said[1:]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: written\n")
