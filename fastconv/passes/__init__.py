"""Passes: Graph -> Graph, in place and the same on every machine."""

from collections.abc import Callable

from ..graph import Graph
from .decompose import decompose
from .dequantize import dequantize
from .fold_affine import fold_affine
from .fold_constants import fold_constants
from .fold_into_matmul import fold_into_matmul
from .fold_pad import fold_pad
from .fold_quantize import fold_quantize
from .fuse_epilogues import fuse_epilogues
from .fuse_patterns import fuse_patterns
from .infer_shapes import infer_shapes
from .lift_1d import lift_1d
from .nhwc_to_nchw import nhwc_to_nchw
from .remove_identity import remove_identity
from .widen import widen

Pass = Callable[[Graph], None]

#: The passes in their order. A plan runs them again when all shapes are known; then they only find what symbols hid.
PASSES: tuple[Pass, ...] = (
    infer_shapes,  # all others read shapes and dtypes
    dequantize,  # makes DequantizeLinear of weights, which fold_constants computes
    fold_constants,  # later passes need to see constants, and no unread nodes
    widen,  # later passes and kernels are for float32
    remove_identity,  # so that no identity stands between nodes that belong together
    fold_quantize,  # a folded pair is one node of a region
    nhwc_to_nchw,  # later passes expect the channels on axis 1
    lift_1d,  # after nhwc_to_nchw, as its regions are N C W
    fold_pad,  # after nhwc_to_nchw, as a Pad of NHWC is found then
    fuse_patterns,  # before the passes that change parts of the patterns
    decompose,  # after fuse_patterns, which looks for Pow
    fold_into_matmul,  # before fold_affine, which makes a Conv of a factor
    fold_affine,  # what decompose added goes into weights too
    fuse_epilogues,  # last: the others look at single nodes
)

#: the passes that may change results by more than rounding: accuracy="exact" leaves them out
INEXACT: tuple[Pass, ...] = (dequantize,)


def run_passes(graph: Graph, until: str | None = None, accuracy: str = "default") -> Graph:
    """Run the passes on the graph, in place, up to and including the one named `until`; return the graph."""
    for p in PASSES:
        if accuracy != "exact" or p not in INEXACT:
            p(graph)
        if p.__name__ == until:
            break
    return graph


__all__ = ["PASSES", "Pass", "run_passes"]
