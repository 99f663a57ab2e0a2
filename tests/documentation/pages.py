"""The pages for people, cut into what a test can look at: code blocks, inline code, headings, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "local_aws" / "README.md"])
_BLOCK = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of code: the page it is on, its line there, its language, its text without indentation."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """Name the place, for the name of a test."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """List the blocks of all pages that have one of these languages."""
    return [block for page in PAGES for block in blocks_of(page) if block.language in languages]


def blocks_of(page: Path) -> Iterator[Block]:
    """List the blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        lines = [line.removeprefix(found[1]) for line in found[3].splitlines()]
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[2].strip(), "\n".join(lines) + "\n")


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> list[str]:
    """List what stands between single backticks in the prose of a page."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def anchors(page: Path) -> set[str]:
    """List the anchors that a forge gives to the headings of a page, and those that are written as HTML."""
    found = set(re.findall(r'<a id="([^"]+)"></a>', prose(page)))
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        words = re.sub(r"\]\([^)]*\)", "", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-"))
    return found


def links(page: Path) -> list[str]:
    """List the targets of a page's links that lead to no other site."""
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page)))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]
