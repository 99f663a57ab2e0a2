"""The page of examples shows what the converter really does."""

from __future__ import annotations

from scripts.examples import PAGE, written


def test_every_table_of_the_page_is_what_the_converter_makes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("```json") >= 10
    assert written(page) == page
    assert written(page.replace("| `7` |", "| `8` |")) == page
