"""Dropout: at inference, its input, and a mask of True."""

from __future__ import annotations

import numpy as np

from ..errors import UnsupportedError
from .base import Op
from .moves import SameMemory


class Dropout(Op):
    implementations = (SameMemory(),)
    arity = (1, 3)
    results = (1, 2)

    seed: int | None = None

    @classmethod
    def upgrade(cls, spec):
        if spec.opset < 12:
            spec.attributes.pop("is_test", None)
            spec.attributes.pop("ratio", None)

    def infer(self, x, ratio=None, training=None):
        if training is not None and (training.constant is None or training.constant.any()):
            raise UnsupportedError("training_mode: only inference is supported")
        return [(x.shape, x.dtype), (x.shape, np.dtype(bool))]

    def reference(self, x, ratio=None, training=None):
        if training is not None and training.any():
            raise UnsupportedError("training_mode: only inference is supported")
        return x, np.ones(x.shape, bool)
