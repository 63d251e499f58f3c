"""Specialising a graph: all passes again, for known input shapes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from .errors import InputError, ModelError, UnsupportedError
from .graph import Graph, Shape, shape_text
from .infer_node import check_sizes
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
    with naming_shapes(graph, shapes):
        run_passes(special, accuracy=accuracy)
        for node in special.nodes:
            check_sizes(node, special.budget)
    return special


@contextmanager
def naming_shapes(graph: Graph, shapes: Sequence[Shape]) -> Iterator[None]:
    """A ModelError that is raised in the `with` block becomes an InputError that names the shapes of the graph's inputs."""
    try:
        yield
    except UnsupportedError:
        raise
    except ModelError as e:
        if not shapes:
            raise
        given = ", ".join(f"{v.name} {shape_text(shape)}" for v, shape in zip(graph.inputs, shapes, strict=True))
        raise InputError(f"the model does not take {given}: {e}") from None


__all__ = ["naming_shapes", "specialise"]
