"""The page about a network and one input: its answer, layers, times, memory and errors, in one HTML file that loads nothing.

`Report` makes a document of plain values (`fastconv/report/document.py`), and `page.html`, built from `web/`, shows it.
"""

from .report import Report

__all__ = ["Report"]
