"""Writes the tables of DynamoDB's refusals and FailureCodes in docs/runbook.md from the code that explains them."""

from __future__ import annotations

import sys
from pathlib import Path

from ddb_export.domain.failures import FAILURES, REFUSALS, Refusal

PAGE = Path(__file__).parents[1] / "docs" / "runbook.md"
MARK = "<!-- made by scripts/runbook.py: make runbook -->\n"


def page() -> str:
    """Return the page as it has to be."""
    head, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    return f"{head}{MARK}\n{_table(REFUSALS)}\n## How exports fail\n\n{_table(FAILURES)}"


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


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: written\n")
