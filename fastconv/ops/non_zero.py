"""NonZero: the indices of the elements that are not zero, a column each. How many there are shows at run time."""

from __future__ import annotations

import numpy as np

from .base import Op


class NonZero(Op):
    def infer(self, x):
        return [((None if x.shape is None else len(x.shape), None), np.dtype(np.int64))]

    def reference(self, x):
        return np.array(np.nonzero(x), np.int64).reshape(x.ndim, -1)
