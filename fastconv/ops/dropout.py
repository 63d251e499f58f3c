"""Dropout: at inference, its input, and a mask of True; in training, what a random mask leaves of it, scaled up."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from .base import Op, only_first_varies
from .dims import check, check_scalar


class Dropout(Op):
    """inputs: data, the share that is dropped, and whether to train."""

    arity = (1, 3)
    how = (2,)
    results = (1, 2)

    seed: int | None = None

    @classmethod
    def upgrade(cls, spec):
        if spec.opset < 12:
            spec.attributes.pop("is_test", None)
            spec.attributes.pop("ratio", None)

    def by_image(self, node):
        return only_first_varies(node)

    def is_identity(self, node: Node) -> bool:
        return not trains(node)

    def infer(self, x, ratio=None, training=None):
        check_scalar(ratio, "ratio")
        check_scalar(training, "training_mode")
        return [(x.shape, x.dtype), (x.shape, np.dtype(bool))]

    def reference(self, x, ratio=None, training=None):
        if training is None or not training.any():
            return x, np.ones(x.shape, bool)
        share = 0.5 if ratio is None else float(ratio.reshape(()))
        check(0 <= share < 1, f"ratio: expected 0 or more and less than 1, got {share}")
        mask = np.random.RandomState(self.seed).uniform(size=x.shape) >= share
        return (x * mask / (1 - share)).astype(x.dtype), mask


def trains(node: Node) -> bool:
    """Whether a Dropout drops anything, as far as the plan can tell."""
    training = node.inputs[2] if len(node.inputs) > 2 else None
    return training is not None and (training.constant is None or bool(training.constant.any()))
