"""Passes: Graph -> Graph, in place and the same on every machine."""

from collections.abc import Callable
from functools import partial

import numpy as np

from ..errors import ModelError, Naming
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
from .fuse_quantized import fuse_quantized
from .infer_shapes import infer_shapes
from .lift_1d import lift_1d
from .move_integers import move_integers
from .nhwc_to_nchw import nhwc_to_nchw
from .remove_identity import remove_identity
from .widen import widen

Pass = Callable[[Graph], None]

#: The passes in their order. A plan runs them again when all shapes are known; then they only find what symbols hid.
PASSES: tuple[Pass, ...] = (
    infer_shapes,  # all others read shapes and dtypes
    dequantize,  # adds DequantizeLinear of weights, which fold_constants computes
    fold_constants,  # the others look for constants
    widen,  # the others, and the kernels, are for float32
    remove_identity,  # an identity would separate nodes that the others join
    nhwc_to_nchw,  # the others expect channels on axis 1
    lift_1d,  # fold_affine makes a Conv of N C H W only
    fold_pad,
    fuse_patterns,  # the others change nodes of the patterns
    decompose,  # adds a Mul and an Add, which fold_affine may fold
    fold_into_matmul,  # fold_affine would make a Conv of a factor before the MatMul
    move_integers,  # the operators that fuse_quantized looks for lie between floats and integers then
    fuse_quantized,  # fold_affine would change weights; it needs those that fold_constants has left
    fold_quantize,  # of what stays float
    fold_affine,
    fuse_epilogues,  # last: the others look for nodes without an epilogue
)

#: the passes that may change results by more than rounding: accuracy="exact" leaves them out
INEXACT: tuple[Pass, ...] = (dequantize, move_integers, fuse_quantized)


def run_passes(graph: Graph, until: str | None = None, accuracy: str = "default") -> Graph:
    """Run the passes on the graph, in place, up to and including the one named `until`; return the graph."""
    with graph.budget.scope():
        for p in PASSES:
            if accuracy != "exact" or p not in INEXACT:
                # overflow and 0 / 0 show in the result
                with Naming(partial(_error, p.__name__)), np.errstate(all="ignore"):
                    p(graph)
            if p.__name__ == until:
                break
    return graph


def _error(name: str, message: str, kind: type[ModelError]) -> ModelError:
    """An error that names a pass, for what belongs to no node."""
    return kind(f"pass {name}: {message}")


__all__ = ["PASSES", "Pass", "run_passes"]
