"""HTML by hand: elements that escape what they hold, tables, pictures, and a page that needs nothing else.

Only what is an `Html` already is taken as it is; any other text is escaped.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import printable

VOID = ("br", "img", "meta")  # elements that have no content and no end

STYLE = """
:root { color-scheme: light dark; --ink: #1c2128; --soft: #59636e; --paper: #fff; --panel: #f4f6f8;
  --line: #d5dbe1; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --soft: #9aa5b0; --paper: #14181c; --panel: #1e242a; --line: #343c44; --accent: #5fb4e8; }
  figure img { filter: invert(1) hue-rotate(180deg) contrast(.92); mix-blend-mode: screen; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 68rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { margin: 0; font-size: 1rem; font-weight: 600; color: var(--soft); }
h2 { margin: 3rem 0 1rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: 1.35rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--accent); }
.soft { color: var(--soft); }
.headline { margin: .25rem 0 0; font-size: clamp(2.75rem, 11vw, 4.5rem); font-weight: 700; line-height: 1.1;
  letter-spacing: -.02em; color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-top: 1.5rem; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: .75rem; margin: 1.5rem 0 0; }
.tiles div { padding: .75rem 1rem; border-radius: .5rem; background: var(--panel); }
.tiles dt { font-size: .85rem; color: var(--soft); }
.tiles dd { margin: 0; font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.pairs { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 1rem 0; }
.pairs dt { color: var(--soft); }
.pairs dd { margin: 0; overflow-wrap: anywhere; }
.pairs div { display: contents; }
.settings { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 0 2rem; margin: 1rem 0; }
.settings div { display: flex; justify-content: space-between; gap: 1rem; padding: .25rem 0;
  border-bottom: 1px solid var(--line); }
.settings dt { color: var(--soft); }
.settings dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
pre { margin: 1rem 0; padding: .8rem 1rem; overflow-x: auto; border-radius: .5rem; background: var(--panel);
  font: .85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { padding-bottom: .5rem; text-align: left; color: var(--soft); }
th, td { padding: .3rem .9rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child { padding-left: .25rem; text-align: left; }
thead th { font-weight: 600; border-bottom: 2px solid var(--line); }
tfoot th, tfoot td { font-weight: 600; border-bottom: 0; }
figure { margin: 1.25rem 0; min-width: 0; }
figure img { display: block; width: 100%; height: auto; border-radius: .25rem; }
figure.medium { max-width: 46rem; }
figcaption { margin-top: .4rem; font-size: .9rem; color: var(--soft); }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 2.5rem;
  align-items: start; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .9rem; color: var(--soft); }
@media (max-width: 40rem) {
  body { padding: 1.25rem 1rem 2rem; }
  .tiles { grid-template-columns: 1fr 1fr; }
  figure .scroll img { width: 36rem; max-width: none; }
  figure.wide .scroll img { width: 46rem; }
  .beside .scroll img { width: 30rem; }
  .pairs { grid-template-columns: 1fr; gap: 0; }
  .pairs dd { margin-bottom: .5rem; }
  table { font-size: .85rem; }
  th, td { padding: .3rem .4rem; }
}
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --panel: #f3f3f3; --line: #bbb;
    --accent: #0072b2; }
  figure img { filter: none; mix-blend-mode: normal; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h2 { break-after: avoid; margin-top: 1.5rem; }
  figure, table, .tiles, pre { break-inside: avoid; }
  figure { max-width: 15cm; }
  figure.medium { max-width: 11cm; }
  .beside { grid-template-columns: 1fr 1fr; gap: 0 1rem; }
  .beside table { font-size: 8pt; }
  .beside th, .beside td { padding: .2rem .35rem; }
}
"""
# Nothing is fetched and nothing is run, whatever the page should come to hold.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *content: object, **attributes: object) -> Html:
    """Return an element with its content, in order, and its attributes, all escaped.

    Parameters
    ----------
    name : str
        Such as ``"td"``.
    *content : object
        `Html` is taken as it is, None is left out, everything else is text.
    **attributes : object
        ``class_`` means ``class``, ``aria_label`` means ``aria-label``; None leaves one out.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{join([value])}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{join(content)}</{name}>")


def join(content: Iterable[object]) -> Html:
    """Return pieces of content behind one another, all but `Html` escaped, None left out."""
    pieces = (piece for piece in content if piece is not None)
    return Html("".join(piece if isinstance(piece, Html) else _escaped(str(piece)) for piece in pieces))


def _escaped(text: str) -> str:
    return html.escape(printable(text, keep="\n"))


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], foot: Sequence[object] | None = None
) -> Html:
    """Return a table of numbers, the first cell of each row its heading; where it is too wide, it scrolls."""

    def row(cells: Sequence[object]) -> Html:
        first, *rest = cells
        return element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))

    names = element("tr", *(element("th", name, scope="col") for name in head))
    whole = element(
        "table",
        element("caption", caption),
        element("thead", names),
        element("tbody", *map(row, rows)),
        None if foot is None else element("tfoot", row(foot)),
    )
    return _scrolling(whole, caption)


def pairs(rows: Mapping[str, object], class_: str = "pairs") -> Html:
    """Return names and what belongs to them; what is None is left out."""
    rows = {name: value for name, value in rows.items() if value is not None}
    told = (element("div", element("dt", name), element("dd", value)) for name, value in rows.items())
    return element("dl", *told, class_=class_)


def picture(path: Path, alt: str, caption: str, size: str | None = None) -> Html:
    """Return a PNG file within the page; on a narrow screen it stays large enough to read, and scrolls.

    Its ``size`` is ``"medium"`` where the whole width would be too much for it, ``"wide"`` where it takes more to read.
    """
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    image = element("img", src=Html(f"data:image/png;base64,{data}"), alt=alt)
    return element("figure", _scrolling(image, caption), element("figcaption", caption), class_=size)


def section(title: str, *content: object) -> Html:
    """Return a part of the page, to which `contents` can lead."""
    anchor = title.lower().replace(" ", "-")
    return element("section", element("h2", title, id=anchor), *content)


def contents(titles: Iterable[str]) -> Html:
    """Return links to the sections."""
    links = (element("a", title, href=f"#{title.lower().replace(' ', '-')}") for title in titles)
    return element("nav", *links, aria_label="On this page")


def page(title: str, *content: object) -> str:
    """Return a whole document that needs no other file, no script and no network."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', *content), lang='en')}\n"


def _scrolling(content: Html, label: str) -> Html:
    """Return what may be wider than the screen, so that a keyboard can move it too."""
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=label)
