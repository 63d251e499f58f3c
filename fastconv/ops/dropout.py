"""Dropout: the input and a mask of True; in training, the input times a random mask, scaled up."""

from __future__ import annotations

import numpy as np

from ..graph import Node, Value
from .base import Array, Inferred, Op, Results, only_first_varies
from .dims import check, check_scalar
from .node_spec import NodeSpec


class Dropout(Op):
    """inputs: data, the ratio to drop, training_mode."""

    arity = (1, 3)
    by_element = True
    control_inputs = (2,)
    output_arity = (1, 2)

    seed: int | None = None

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 12:
            spec.attributes.pop("is_test", None)
            spec.attributes.pop("ratio", None)

    def independent_images(self, node: Node) -> bool:
        return only_first_varies(node)

    def is_identity(self, node: Node) -> bool:
        return not trains(node)

    def infer(self, x: Value, ratio: Value | None = None, training: Value | None = None) -> Inferred:
        check_scalar(ratio, "ratio")
        check_scalar(training, "training_mode")
        return [(x.shape, x.dtype), (x.shape, np.dtype(bool))]

    def reference(self, x: Array, ratio: Array | None = None, training: Array | None = None) -> Results:
        if training is None or not training.any():
            return x, np.ones(x.shape, bool)
        share = 0.5 if ratio is None else float(ratio.reshape(()))
        check(0 <= share < 1, f"ratio: expected 0 or more and less than 1, got {share}")
        mask = np.random.RandomState(self.seed).uniform(size=x.shape) >= share
        return (x * mask / (1 - share)).astype(x.dtype), mask


def trains(node: Node) -> bool:
    """Whether a Dropout may drop anything."""
    training = node.optional(2)
    return training is not None and (training.constant is None or bool(np.any(training.constant)))
