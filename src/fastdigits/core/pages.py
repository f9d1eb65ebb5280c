"""Make HTML pages from Jinja2 templates; all values are escaped."""

from __future__ import annotations

from pathlib import Path

from ..errors import printable


def render(template: Path, **values: object) -> str:
    """Return the page that the template makes of ``values``; a missing value is an error of Jinja2.

    HTML in the values is escaped, and control characters other than line ends become readable, as by `printable`.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(values)


def _printable(value: object) -> object:
    return value if hasattr(value, "__html__") else printable(str(value), keep="\n")
