"""Activation: a function of one element that a kernel applies as it stores its result."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Activation(NamedTuple):
    """A function of one element, which a kernel applies before it stores: `kind` and its parameters, see pyx/activation.pxd."""

    kind: str
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0

    def then(self, other: Activation) -> Activation | None:
        """This activation followed by `other` as one Activation; None if it is not one.

        A clip before a fake_quantize narrows the latter's bounds, as fake_quantize is monotonic. The bounds of the clip must
        include 0, which is what NaN becomes.

        >>> Activation("clip", 0, 6).then(Activation("fake_quantize", 0.5, -128, 127))
        Activation(kind='fake_quantize', a=0.5, b=0.0, c=12.0)
        """
        if self == NO_ACTIVATION:
            return other
        if self.kind != "clip" or other.kind != "fake_quantize" or not self.a <= 0 <= self.b:
            return None
        steps = np.rint(np.array([self.a, self.b], np.float32) / np.float32(other.a)).clip(other.b, other.c)
        return Activation("fake_quantize", other.a, *steps.tolist())


#: the identity
NO_ACTIVATION = Activation("clip", -math.inf, math.inf)
