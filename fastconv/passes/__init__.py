"""Graph → Graph, the same on every machine. PASSES is the order, read top to bottom; each works in place."""

from collections.abc import Callable

from ..graph import Graph
from .channels_first import channels_first
from .dequantize import dequantize
from .fold_affine import fold_affine
from .fold_constants import fold_constants
from .fold_matmul import fold_matmul
from .fold_pad import fold_pad
from .fold_quantize import fold_quantize
from .fuse import fuse
from .infer_shapes import infer_shapes
from .lift import lift
from .recognise import recognise
from .remove_identity import remove_identity
from .spell_out import spell_out
from .widen import widen

Pass = Callable[[Graph], None]

#: a plan runs them once more when every shape is known: what symbols hid is found then, and the rest is as it was
PASSES: tuple[Pass, ...] = (
    infer_shapes,
    dequantize,
    fold_constants,
    widen,
    remove_identity,
    fold_quantize,
    channels_first,
    lift,
    fold_pad,
    recognise,
    spell_out,
    fold_matmul,
    fold_affine,
    fuse,
)


#: those that accuracy="exact" goes without
INEXACT: tuple[Pass, ...] = (dequantize,)


def run_passes(graph: Graph, until: str | None = None, accuracy: str = "default") -> Graph:
    """Run the passes on the graph, in place, up to and including the one named `until`; returns the graph."""
    for p in PASSES:
        if accuracy != "exact" or p not in INEXACT:
            p(graph)
        if p.__name__ == until:
            break
    return graph


__all__ = ["PASSES", "Pass", "run_passes"]
