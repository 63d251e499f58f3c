"""Matplotlib, imported when a figure is drawn."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import FastconvError, InputError
from ..write_files import write_files

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, outside pyplot: no display is needed, and no window opens.

    Notebooks show it as a picture.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise FastconvError("figures need the Matplotlib package: pip install 'fastconv[viz]'") from None

    class Shown(Figure):
        def _repr_png_(self) -> bytes:
            """For notebooks, which otherwise show figures of pyplot alone."""
            file = io.BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    return Shown(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure to a file; InputError if Matplotlib knows no format of its name."""
    suffix, formats = path.suffix[1:].lower(), sorted(figure.canvas.get_supported_filetypes())
    if suffix not in formats:
        raise InputError(f"{path}: the name of a figure ends in .{', .'.join(formats)}")
    write_files({str(path): lambda file: figure.savefig(file, format=suffix, dpi=150)})


__all__ = ["new_figure", "save_figure"]
