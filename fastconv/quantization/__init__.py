"""Quantization: a network in 8-bit integers, from one in float and data to calibrate it with.

`pipeline` runs the steps: `layers` finds what can be computed on integers, `equalise` gives channels like ranges, `ranges`
measures values, `grids` chooses scales and zero points, `qdq` writes the network, `bias` corrects what rounding shifts, `noise`
measures what all this costs, and `report` prints it.
"""

from .pipeline import Quantized, quantize
from .report import LayerNoise, QuantizationReport

__all__ = ["LayerNoise", "QuantizationReport", "Quantized", "quantize"]
