"""Col2Im: the sum of overlapping blocks of an image, each given as a column: N C·block L -> N C *image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import Dim, Value, shape_text
from .base import Array, Inferred, Results
from .dims import as_shape, check, check_rank, known_ints, to_ints
from .windows import Windowed, Windows


class Col2Im(Windowed):
    """inputs: the columns, the size of the image and of a block; the attributes describe windows over the image."""

    arity = (3, 3)
    control_inputs = (1, 2)

    def geometry(self, shape: Sequence[Dim], image: Sequence[int], block: Sequence[int]) -> tuple[Any, Windows]:
        """(C, the windows over the image) for columns of this shape."""
        check(min(block, default=0) > 0, f"block_shape: expected values above 0, got {block}")
        windows = self.windows(as_shape(image, "image_shape"), block)
        size, count = math.prod(block), math.prod(windows.out)
        check(
            not isinstance(shape[1], int) or shape[1] % size == 0,
            f"input: expected a multiple of {size} rows, got {shape_text(shape)}",
        )
        check(not isinstance(shape[2], int) or shape[2] == count, f"input: expected {count} columns, got {shape_text(shape)}")
        return shape[1] // size if isinstance(shape[1], int) else None, windows

    def infer(self, x: Value, image: Value, block: Value) -> Inferred:
        check_rank(x, "input", 3)
        sizes, kernel = known_ints(image, "image_shape"), known_ints(block, "block_shape")
        if x.shape is None or sizes is None or kernel is None:
            return [(None, x.dtype)]
        C, _ = self.geometry(x.shape, sizes, kernel)
        return [((x.shape[0], C, *sizes), x.dtype)]

    def reference(self, x: Array, image: Array, block: Array) -> Results:
        C, w = self.geometry(x.shape, to_ints(image, "image_shape"), to_ints(block, "block_shape"))
        columns = x.reshape(len(x), C, *w.kernel, *w.out)
        y = np.zeros((len(x), C, *(d + b + e for d, b, e in zip(w.size, w.begin, w.end, strict=True))), x.dtype)
        for tap in np.ndindex(*w.kernel):
            where = [
                slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in zip(tap, w.dilations, w.out, w.strides, strict=True)
            ]
            y[:, :, *where] += columns[:, :, *tap]
        return y[:, :, *(slice(b, b + d) for b, d in zip(w.begin, w.size, strict=True))]
