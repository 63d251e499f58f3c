"""BatchNormalization: (x - mean) / sqrt(var + epsilon) · scale + bias, channel by channel."""

from __future__ import annotations

import numpy as np

from ..graph import Node, Value, shape_text
from . import statistics
from .base import Array, Inferred, Op, Results
from .dims import check, check_rank_least, unify
from .node_spec import INT, NodeSpec
from .scale_shift import ScaleShift
from .span import Spans, everything


class BatchNormalization(Op):
    """In training mode it normalizes by the mean and variance of its input, and returns the updated running ones.

    Before opset 9, spatial=0 has parameters for each element of an image: their shape is the input's without N.
    """

    arity = (5, 5)
    control_inputs = (1, 2, 3, 4)
    parameter_inputs = (1, 2)
    output_arity = (1, 3)

    epsilon: float = 1e-5
    momentum: float = 0.9
    training_mode: int = 0

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if not spec.take("spatial", INT, 1):
            x, scale = spec.optional(0), spec.optional(1)
            if x is not None and x.shape is not None and scale is not None and scale.shape is not None:
                fits = len(scale.shape) == len(x.shape) - 1
                check(
                    fits,
                    f"spatial=0: expected parameters of the shape {shape_text(x.shape[1:])}, got {shape_text(scale.shape)}",
                )
        if spec.opset < 7:
            spec.attributes.pop("is_test", None)
        if not spec.take("training_mode", INT, 0):
            del spec.outputs[1:]  # the statistics that only training returns
        else:
            spec.attributes["training_mode"] = 1

    def as_scale_shift(self, node: Node, axis: int) -> ScaleShift | None:
        x, *params = (node.input(i) for i in range(5))
        constants = [p.constant for p in params if p.constant is not None and p.constant.ndim == 1]
        if self.training_mode or x.shape is None or axis % len(x.shape) != 1 or len(constants) < 4:
            return None
        gamma, beta, mean, var = (np.asarray(c, np.float64) for c in constants)
        with np.errstate(invalid="ignore", divide="ignore"):  # a negative variance gives NaN, as in the reference
            scale = gamma / np.sqrt(var + self.epsilon)
        return ScaleShift(x, scale, beta - mean * scale) if np.isfinite(scale).all() else None

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        return everything(node.input(i)) if self.training_mode else spans

    def infer(self, x: Value, scale: Value, bias: Value, mean: Value, var: Value) -> Inferred:
        check_rank_least(x, "input", 1)
        image = (1,) if x.shape is not None and len(x.shape) == 1 else x.shape and x.shape[1:]
        for name, v in (("scale", scale), ("B", bias), ("mean", mean), ("var", var)):
            if v.shape is None or image is None:
                continue
            check(
                len(v.shape) in (1, len(image)),
                f"{name}: expected rank 1, got rank {len(v.shape)}, shape {shape_text(v.shape)}",
            )
            for d, n in zip(image, v.shape, strict=False):
                unify(d, n, f"{name}: channels")
        return [(x.shape, x.dtype), (mean.shape, mean.dtype), (var.shape, var.dtype)]

    def reference(self, x: Array, scale: Array, bias: Array, mean: Array, var: Array) -> Results:
        running_mean, running_var = mean, var
        if self.training_mode:
            over = (0, *range(2, x.ndim))
            mean = statistics.mean(x, over, keepdims=False).astype(mean.dtype)
            var = statistics.variance(x, over, keepdims=False).astype(var.dtype)
        wide = [v.reshape(-1, *(1,) * (x.ndim - 2)) if v.ndim == 1 else v for v in (scale, bias, mean, var)]
        y = ((x - wide[2]) / np.sqrt(wide[3] + self.epsilon) * wide[0] + wide[1]).astype(x.dtype)
        moved = [
            (old * self.momentum + new * (1 - self.momentum)).astype(old.dtype)
            for old, new in ((running_mean, mean), (running_var, var))
        ]
        return (y, *moved)
