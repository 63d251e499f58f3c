"""AffineGrid: an affine map of the pixels' coordinates, which gives the grid that GridSample reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import Dim, Value
from .base import Array, Inferred, Op, Results
from .dims import as_shape, check, check_dtype, check_rank, known_ints, to_ints, unify


class AffineGrid(Op):
    """inputs: matrices N R R+1, and the shape N C *size to sample -> N *size R, for R spatial axes."""

    arity = (2, 2)
    control_inputs = (1,)

    align_corners: int = 0

    def spatial(self, size: Sequence[int]) -> tuple[int, ...]:
        """The spatial sizes of a shape N C *size."""
        check(len(size) in (4, 5), f"size: expected 4 or 5 values, got {tuple(size)}")
        return as_shape(size, "size")[2:]

    def infer(self, theta: Value, size: Value) -> Inferred:
        check_rank(theta, "theta", 3)
        check_dtype(theta, "theta", "f")
        sizes = known_ints(size, "size")
        if sizes is None:
            return [(None, theta.dtype)]
        spatial = self.spatial(sizes)
        N: Dim = sizes[0]
        if theta.shape is not None:
            N = unify(N, theta.shape[0], "theta: batch size")
            unify(len(spatial), theta.shape[1], "theta: rows")
            unify(len(spatial) + 1, theta.shape[2], "theta: columns")
        return [((N, *spatial, len(spatial)), theta.dtype)]

    def reference(self, theta: Array, size: Array) -> Results:
        spatial = self.spatial(to_ints(size, "size"))
        edges = [1.0 if self.align_corners else 1 - 1 / max(d, 1) for d in spatial]
        axes = [np.linspace(-e, e, d) for e, d in zip(edges, spatial, strict=True)]
        places = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(spatial)], -1)  # a grid has the last axis first
        return np.einsum("...k,nrk->n...r", places.astype(theta.dtype), theta)
