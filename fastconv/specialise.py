"""Specialising a graph: all passes again, for known input shapes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from .errors import InputError, ModelError, UnsupportedError
from .graph import Graph, Shape, shape_text
from .passes import run_passes


def specialise(
    graph: Graph, shapes: Sequence[Shape], elements: Sequence[bytes | None] = (), *, accuracy: str = "default"
) -> Graph:
    """A copy of the graph for inputs of these shapes.

    `elements` has the bytes of the inputs that control the computation, and None for the others: such inputs become constants.
    InputError if the graph does not take these shapes.
    """
    special = graph.copy()
    for v in special.values():
        if v.constant is None and v not in special.inputs:
            v.shape = None
    for v, shape, data in itertools.zip_longest(special.inputs, shapes, elements):
        v.shape = shape
        if data is not None:
            v.constant = np.frombuffer(data, v.dtype).reshape(v.dims)
    try:
        return run_passes(special, accuracy=accuracy)
    except UnsupportedError:
        raise
    except ModelError as e:
        given = ", ".join(f"{v.name} {shape_text(shape)}" for v, shape in zip(graph.inputs, shapes, strict=True))
        raise InputError(f"the model does not take {given}: {e}") from None


__all__ = ["specialise"]
