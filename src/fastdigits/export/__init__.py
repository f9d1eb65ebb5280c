"""Export a network for other programs: a page for any browser, ONNX, PyTorch."""

from .html import export_html

__all__ = ["export_html"]
