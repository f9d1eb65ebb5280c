"""Make HTML pages from Jinja2 templates; what they show is escaped."""

from __future__ import annotations

from pathlib import Path

from ..errors import printable


def render(template: Path, **values: object) -> str:
    """Return the page that a template makes of ``values``, which it uses by these names.

    Everything but HTML made by the template itself is escaped, and control characters are shown as `printable` does,
    except line ends. A name that was not given is an error of Jinja2.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(values)


def _shown(value: object) -> object:
    return value if hasattr(value, "__html__") else printable(str(value), keep="\n")
