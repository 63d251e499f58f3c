"""Activation: a function of one element that a kernel applies as it stores its result."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Activation:
    """A function that a kernel's store can apply: `kind` with its parameters, see pyx/activation.pxd."""

    kind: str
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0

    def then(self, other: Activation) -> Activation | None:
        """The Activation that `other` after this one is, where there is one.

        A clip moves the bounds of a fake_quantize, whose steps keep the order of numbers; 0, as NaN becomes, stays within.

        >>> Activation("clip", 0, 6).then(Activation("fake_quantize", 0.5, -128, 127))
        Activation(kind='fake_quantize', a=0.5, b=0.0, c=12.0)
        """
        if self == NO_ACTIVATION:
            return other
        if self.kind != "clip" or other.kind != "fake_quantize" or not self.a <= 0 <= self.b:
            return None
        steps = np.rint(np.array([self.a, self.b], np.float32) / np.float32(other.a)).clip(other.b, other.c)
        return Activation("fake_quantize", other.a, *steps.tolist())


#: what leaves everything as it is
NO_ACTIVATION = Activation("clip", -math.inf, math.inf)
