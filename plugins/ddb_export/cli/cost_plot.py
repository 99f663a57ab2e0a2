"""The picture of ``ddb-export cost``: a bar for each month, a colour for each table, as SVG that any browser and wiki shows."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _LEGEND = 860, 360, 90, 40, 300, 180
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")
"""Okabe and Ito's colours, which most people with colour blindness tell apart; the last one stands for all other tables."""


def svg(document: dict[str, Any]) -> str:
    """Return the picture.

    :param document: what :func:`ddb_export.cli.cost.document_of` returns.
    """
    months = [month["month"] for month in document["months"]]
    highest = max((Decimal(month["usd"]) for month in document["months"]), default=Decimal(0))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="24" font-size="16">What exports were billed, in USD a month</text>',
        *_axis(highest),
        *_bars(document, months, highest),
        *_legend(document),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _axis(highest: Decimal) -> Iterator[str]:
    for quarter in range(5):
        y = _y(highest * quarter / 4, highest)
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _LEGEND}" y1="{y}" y2="{y}" stroke="#dddddd"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{highest * quarter / 4:.4f}</text>'


def _bars(document: dict[str, Any], months: list[str], highest: Decimal) -> Iterator[str]:
    step = (_WIDTH - _LEGEND - _LEFT) / max(len(months), 1)
    width = min(step * 0.7, 60)
    below = dict.fromkeys(months, Decimal(0))
    for number, table in enumerate(document["tables"]):
        for month in table["months"]:
            usd, column = Decimal(month["usd"]), months.index(month["month"])
            x = _LEFT + column * step + (step - width) / 2
            y = _y(below[month["month"]] + usd, highest)
            height = _y(below[month["month"]], highest) - y
            below[month["month"]] += usd
            title = escape(f"{table['table']} {month['month']}: {usd:.4f} USD")
            shape = f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{_colour(number)}">'
            yield f"{shape}<title>{title}</title></rect>"
    for column, month in enumerate(months):
        yield f'<text x="{_LEFT + (column + 0.5) * step:.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{month}</text>'


def _legend(document: dict[str, Any]) -> Iterator[str]:
    names = [table["table"] for table in document["tables"]]
    shown = names[: len(_COLOURS) - 1] + (["other tables"] if len(names) >= len(_COLOURS) else [])
    for number, name in enumerate(shown):
        y = _TOP + 20 * number
        yield f'<rect x="{_WIDTH - _LEGEND + 16}" y="{y}" width="12" height="12" fill="{_colour(number)}"/>'
        yield f'<text x="{_WIDTH - _LEGEND + 34}" y="{y + 10}">{escape(name[:22])}</text>'


def _colour(number: int) -> str:
    return _COLOURS[min(number, len(_COLOURS) - 1)]


def _y(usd: Decimal, highest: Decimal) -> int:
    return int(_BOTTOM - (_BOTTOM - _TOP) * usd / highest) if highest else _BOTTOM
