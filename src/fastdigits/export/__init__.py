"""Take a network elsewhere: into a page for any browser."""

from .html import export_html

__all__ = ["export_html"]
