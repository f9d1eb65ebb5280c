"""A figure that a notebook shows, also one that never imports matplotlib.pyplot; importing this imports matplotlib."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A figure with a picture for notebooks.

    IPython knows how to show a figure only once matplotlib's inline backend is loaded. From then on, that comes first.
    """

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png")
        return content.getvalue()
