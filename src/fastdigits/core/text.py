"""Lay out text: tables, wrapped lines, lines that are cut."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Self

from ..errors import printable


def tabulate(
    rows: Iterable[Sequence[str]], align: str = "<", *, least: Sequence[int] = (), ruled: bool = False
) -> str:
    """Return rows of cells as lines of text, in columns two spaces apart; escape control characters.

    Parameters
    ----------
    rows : iterable of sequence of str
        At least one row; one cell per column.
    align : str, default "<"
        ``"<"`` (left) or ``">"`` (right) per column; the last sign also holds for the columns that follow.
    least : sequence of int, default ()
        The smallest width per column, so that tables that are printed one after another line up.
    ruled : bool, default False
        Draw a line below the first row and a line above the last row.
    """
    table = [[printable(cell) for cell in row] for row in rows]
    widest = [max(map(len, column)) for column in zip(*table, strict=True)]
    sizes = [max(pair) for pair in zip_longest(widest, least, fillvalue=0)]
    signs = align.ljust(len(sizes), align[-1])
    rule = "─" * (sum(sizes) + 2 * (len(sizes) - 1))
    if signs[-1] == "<":
        sizes[-1] = 0  # no spaces at the end of a line
    lines = [
        "  ".join(f"{cell:{sign}{size}}" for cell, sign, size in zip(row, signs, sizes, strict=True))
        for row in table
    ]
    if ruled:
        lines = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
    return "\n".join(lines)


class Table(str):
    """A table as text, which a notebook shows as HTML, and a console without quotes.

    Parameters
    ----------
    rows, align, ruled
        As for `tabulate`. The first row is the head, and with ``ruled`` the last row the foot.
    caption : str, default ""
        A line below the table.
    """

    def __new__(
        cls, rows: Iterable[Sequence[str]], align: str = "<", *, ruled: bool = False, caption: str = ""
    ) -> Self:
        """Lay out the text; the HTML is made when it is shown."""
        rows = list(rows)
        text = tabulate(rows, align, ruled=ruled)
        table = super().__new__(cls, f"{text}\n{caption}" if caption else text)
        table._parts = rows, align, ruled, caption
        return table

    _parts: tuple[list[Sequence[str]], str, bool, str]

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from html import escape  # not at the top: few programs show HTML

        rows, align, ruled, caption = self._parts
        signs = align.ljust(len(rows[0]), align[-1])
        sides = ["left" if sign == "<" else "right" for sign in signs]

        def lines(part: Iterable[Sequence[str]], kind: str) -> str:
            cells = (
                "".join(
                    f'<{kind} style="text-align: {side}">{escape(printable(cell))}</{kind}>'
                    for cell, side in zip(row, sides, strict=True)
                )
                for row in part
            )
            return "".join(f"<tr>{row}</tr>" for row in cells)

        last, place = len(rows) - ruled, "caption-side: bottom; text-align: left"
        return (
            f"<table><thead>{lines(rows[:1], 'th')}</thead><tbody>{lines(rows[1:last], 'td')}</tbody>"
            + (f"<tfoot>{lines(rows[last:], 'th')}</tfoot>" if ruled else "")
            + (f'<caption style="{place}">{escape(caption)}</caption>' if caption else "")
            + "</table>"
        )


def wrap(text: str, width: int) -> list[str]:
    """Return ``text`` as lines of at most ``width`` characters; longer words and hyphenated names stay whole."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def cut(text: str, length: int) -> str:
    """Return ``text``, escaped, in at most ``length`` characters; an ellipsis ends a text that was longer."""
    text = printable(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def loss_text(loss: float) -> str:
    """Return a loss with four decimals; a very large one, of a training that diverges, with four digits: 3.084e+33."""
    return f"{loss:.4f}" if loss < 1e5 else f"{loss:.4g}"
