"""Lay out text: tables, percentages, lines that are cut."""

from __future__ import annotations


def cut(text: str, length: int) -> str:
    """Return ``text`` in at most ``length`` characters; where it is longer, an ellipsis ends it."""
    return text if len(text) <= length else text[: length - 1] + "…"


def ruled_table(table: list[tuple[str, ...]]) -> str:
    """Set the first two columns left, the others right; a rule below the head and above the total."""
    sizes = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            f"{cell:<{size}}" if i < 2 else f"{cell:>{size}}"
            for i, (cell, size) in enumerate(zip(row, sizes, strict=True))
        )
        for row in table
    ]
    rule = "─" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
