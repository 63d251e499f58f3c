"""BatchNormalization: (x - mean) / sqrt(var + epsilon) · scale + bias, channel by channel."""

from __future__ import annotations

import numpy as np

from ..errors import UnsupportedError
from .base import INT, Op
from .dims import check_rank, check_rank_least, unify


class BatchNormalization(Op):
    arity = (5, 5)
    how = (1, 2, 3, 4)

    epsilon: float = 1e-5
    momentum: float = 0.9

    @classmethod
    def upgrade(cls, spec):
        if not spec.take("spatial", INT, 1):
            raise UnsupportedError("spatial=0 is not supported")
        if spec.take("training_mode", INT, 0):
            raise UnsupportedError("training_mode: only inference is supported")
        if spec.opset < 7:
            spec.attributes.pop("is_test", None)
        del spec.outputs[1:]  # statistics, which only training gives

    def infer(self, x, scale, bias, mean, var):
        check_rank_least(x, "input", 1)
        channels = x.shape[1] if x.shape is not None and len(x.shape) > 1 else None if x.shape is None else 1
        for name, v in (("scale", scale), ("B", bias), ("mean", mean), ("var", var)):
            check_rank(v, name, 1)
            unify(channels, v.shape and v.shape[0], f"{name}: channels")
        return [(x.shape, x.dtype)]

    def reference(self, x, scale, bias, mean, var):
        scale, bias, mean, var = (v.reshape(-1, *(1,) * (x.ndim - 2)) for v in (scale, bias, mean, var))
        return ((x - mean) / np.sqrt(var + self.epsilon) * scale + bias).astype(x.dtype)
