"""Matplotlib, imported when a figure is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import FastconvError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, outside pyplot: no display is needed, and no window opens."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise FastconvError("figures need the Matplotlib package: pip install 'fastconv[viz]'") from None
    return Figure(figsize=(width, height), layout="constrained")


__all__ = ["new_figure"]
