"""The layers of networks by every algorithm that can run them, and by the plain loops of fastconv.naive."""

from __future__ import annotations

from .layers import Conv, ConvTranspose, Linear, MaxPool
from .suite import Measure, of_kinds
from .timing import Case


@of_kinds(Conv, ConvTranspose)
def test_conv(case: Case, measure: Measure) -> None:
    """Convolutions and transposed convolutions."""
    measure(case.run(), case.info)


@of_kinds(MaxPool)
def test_max_pool(case: Case, measure: Measure) -> None:
    """Max pooling."""
    measure(case.run(), case.info)


@of_kinds(Linear)
def test_linear(case: Case, measure: Measure) -> None:
    """Fully connected layers at batch 1: each weight is read once and used once, so memory bandwidth is the limit.

    No weight is in a cache when a round begins: in a network, the layers in between have pushed them out.
    """
    measure(case.run(), case.info, cold=True)
