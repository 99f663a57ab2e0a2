"""What ``make secrets`` lets pass once a person has judged it: the findings of the files that were named, and no others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.secret_scan import BASELINE, UnknownFileError, findings, newly_judged, without_what_changes


def found(name: str, digest: str, line: int) -> dict[str, Any]:
    return {
        "type": "Secret Keyword",
        "filename": f"/home/me/clone/{name}",
        "hashed_secret": digest,
        "line_number": line,
    }


SCAN: dict[str, object] = {
    "version": "1.5.0",
    "results": {
        "docs/x.md": [found("docs/x.md", "aa", 3), found("docs/x.md", "bb", 9)],
        "demo/y.py": [found("demo/y.py", "cc", 1)],
    },
    "generated_at": "2026-11-21T00:00:00Z",
}
OLD = ("docs/x.md", "Secret Keyword", "aa")
GONE = ("docs/gone.md", "Secret Keyword", "dd")


def test_only_the_files_that_are_named_are_judged():
    ((judged, line),) = newly_judged(SCAN, {OLD}, ["docs/x.md"])

    assert (judged, line) == (("docs/x.md", "Secret Keyword", "bb"), 9)
    assert newly_judged(SCAN, {OLD}, []) == []
    with pytest.raises(UnknownFileError, match=r"docs/xx\.md: .* Remedy: "):
        newly_judged(SCAN, {OLD}, ["docs/xx.md"])


def test_the_baseline_holds_what_is_judged_and_nothing_of_this_machine():
    baseline = without_what_changes(SCAN, {OLD, GONE})

    assert [finding for finding, _ in findings(baseline)] == [OLD]
    assert "generated_at" not in baseline
    assert "line_number" not in json.dumps(baseline)
    assert "/home/me" not in json.dumps(baseline)


def test_the_baseline_of_this_repository_has_paths_below_it_only():
    results = json.loads(BASELINE.read_text())["results"]

    assert {finding["filename"] for of_file in results.values() for finding in of_file} == set(results)
