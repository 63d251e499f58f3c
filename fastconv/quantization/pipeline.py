"""`quantize`: the steps from a float network and calibration data to a network in 8-bit integers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import onnx_json
from ..errors import InputError, did_you_mean
from ..graph import Graph, Node, Value
from ..infer_node import infer_node
from ..model import Model, is_quantized
from ..onnx_json.standard_nodes import standard_nodes
from ..ops.gemm import Gemm
from ..ops.matmul import MatMul
from ..passes import run_passes
from ..progress import Advance, ignore, part
from .bias import correct_biases
from .calibration import Calibration
from .equalise import equalise as equalise_channels
from .grids import choose_grids
from .layers import find_layers, rounded_values
from .noise import Quality, measure_effects, measure_layers, measure_outputs
from .qdq import Scheme
from .ranges import RANGES, Range, measure_ranges
from .report import LayerNoise, QuantizationReport

if TYPE_CHECKING:
    from .calibration import Data

#: the passes that run before: they fold constants and BatchNormalization, and join what exporters write in several nodes
LAST_PASS = "fold_affine"


class Quantized(Model):
    """A Model in 8-bit integers, as `quantize` returns it; `quantization` says what that costs. Pickled, it is a plain Model.

    Parameters
    ----------
    source, **options
        As for `Model`.
    quantization : QuantizationReport
        The report.
    """

    def __init__(self, source: bytes, quantization: QuantizationReport, **options: Any):
        super().__init__(source, **options)
        self.quantization = quantization


def quantize(
    model: Model,
    data: Data,
    *,
    ranges: str = "mse",
    equalise: bool = True,
    correct_bias: bool = True,
    fallback: float | None = None,
    labels: Sequence[int] | None = None,
    advance: Advance = ignore,
) -> Quantized:
    """Quantize a network to 8-bit integers: uint8 activations, int8 weights with a scale for each output channel.

    The result is a network in standard ONNX, with QuantizeLinear and DequantizeLinear around its layers, which every runtime
    reads and computes on integers. Convolutions, matrix products with constant weights, and what lies between them are
    quantized. All else stays float, and so does an output that is a matrix product.

    Parameters
    ----------
    model : Model
        The network, in floats.
    data : numpy.ndarray, mapping of str to array_like, or collection
        What the network typically sees, 100 or more images: one array of them, or arrays by the names of inputs; or a list, or
        another collection, of the inputs of calls. It is read several times, one call at a time.
    ranges : {"mse", "percentile"}
        How the range of a value is chosen: by the least mean squared error, or without 0.01 % of the numbers.
    equalise : bool
        Whether to scale channels alike before.
    correct_bias : bool
        Whether to correct biases for what rounding shifts.
    fallback : float, optional
        The signal-to-noise ratio in dB that every output must reach; with `labels` the percent of right answers instead. The
        layers that the outputs suffer from most stay float until it does.
    labels : sequence of int, optional
        The class of each image: the index of the largest number of its row in the first output.
    advance : callable
        Called with the share of the work that was done since the last call; the shares add up to 1.

    Returns
    -------
    Quantized
        A Model; its `quantization` is the report, and `save` writes it.

    Raises
    ------
    InputError
        If an argument or an input does not fit, a value is NaN or infinite, or the network is quantized already or has no layer
        that can be.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> with np.load(fastconv.data.DIGITS_IMAGES) as file:
    ...     images, digits = file["images"][:, None] / np.float32(16), file["labels"]
    >>> quantized = fastconv.quantize(fastconv.load(fastconv.data.DIGITS), images[:50])
    >>> bool((quantized(images).argmax(axis=1) == digits).mean() > 0.97)
    True
    """
    if ranges not in RANGES:
        raise InputError(f"ranges: expected {' or '.join(map(repr, RANGES))}, got {ranges!r}{did_you_mean(ranges, RANGES)}")
    if fallback is not None and not (isinstance(fallback, Real) and math.isfinite(fallback)):
        raise InputError(f"fallback: expected a finite number, got {fallback!r:.50}")
    if is_quantized(model._original):
        raise InputError("the model is quantized already: quantize the float one that it was made of")
    calibration = Calibration(model, data)
    classes = None if labels is None else _classes(labels)
    graph = plain_graph(model)
    layers = find_layers(graph)
    if not any(x.weighted for x in layers):
        raise InputError("nothing to quantize: the model has no convolution or matrix product with constant float32 weights")
    steps = part(advance, 1 / (3 + equalise + correct_bias + (fallback is not None)))
    if equalise:
        equalise_channels(graph, rounded_values(layers), calibration, steps)
    measured = measure_ranges(graph, rounded_values(layers), ranges, calibration, steps)
    scheme = Scheme(graph, layers, choose_grids(layers, measured))
    if correct_bias:
        scheme = correct_biases(scheme, calibration, steps)
    effects = measure_effects(scheme, calibration, steps)
    noise, quality = measure_layers(scheme, effects, calibration, classes, steps)
    if fallback is not None:
        search = _Fallback(scheme, measured, calibration, classes, fallback)
        scheme = search.run(sorted(noise.values(), key=lambda x: (x.output, x.alone)), quality, steps)
        left, quality = measure_layers(scheme, effects, calibration, classes, ignore)
        noise = {n: left.get(n) or replace(x, weights=None, alone=None, accumulated=None) for n, x in noise.items()}
    network = scheme.network()
    sizes = _constant_bytes(graph), _constant_bytes(network)
    report = QuantizationReport(list(noise.values()), quality.output, calibration.count, sizes, quality.top1)
    return Quantized(onnx_json.to_bytes(network), report, **calibration.options)


@dataclass(frozen=True)
class _Fallback:
    """The search for the fewest layers, from those that the outputs suffer from most, that must stay float."""

    scheme: Scheme
    ranges: Mapping[Value, Range]
    data: Calibration
    labels: np.ndarray | None
    target: float

    def run(self, worst: Sequence[LayerNoise], quality: Quality, advance: Advance) -> Scheme:
        """The scheme with the fewest; InputError if even the float network misses the target."""
        if self._fits(quality):
            advance(1)
            return self.scheme
        if quality.top1 is not None and 100 * quality.top1[0] < self.target:
            raise InputError(
                f"fallback: the float network has {quality.top1[0]:.1%} right answers, less than {self.target:g} %"
            )
        least, most = 0, 1
        step = part(advance, 1 / (2 * max(len(worst), 1).bit_length()))
        while most < len(worst) and not self._fits(self._try(worst[:most], step)):
            least, most = most, 2 * most
        most = min(most, len(worst))
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (least, middle) if self._fits(self._try(worst[:middle], step)) else (middle, most)
        return self._without(worst[:most])

    def _fits(self, quality: Quality) -> bool:
        return (quality.output if quality.top1 is None else 100 * quality.top1[1]) >= self.target

    def _try(self, floats: Sequence[LayerNoise], advance: Advance) -> Quality:
        return measure_outputs(self._without(floats), self.data, self.labels, advance)

    def _without(self, floats: Sequence[LayerNoise]) -> Scheme:
        layers = find_layers(self.scheme.graph, {x.name for x in floats})
        rounded = dict.fromkeys(rounded_values(layers))
        grids = choose_grids(layers, {v: bounds for v, bounds in self.ranges.items() if v in rounded})
        return replace(self.scheme, layers=layers, grids=grids)


def _classes(labels: Sequence[int]) -> np.ndarray:
    classes = np.asarray(labels)
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise InputError("labels: expected an int for each image")
    return classes


def _constant_bytes(graph: Graph) -> int:
    return sum(v.constant.nbytes for v in graph.values() if v.constant is not None)


def plain_graph(model: Model) -> Graph:
    """The network after the passes, in standard nodes, every value with a name of its own."""
    graph = run_passes(model._with_outputs(()), LAST_PASS, model._accuracy)
    graph.nodes = [new for node in graph.nodes for new in standard_nodes(_as_gemm(node))]
    for node in graph.nodes:
        infer_node(node)
    taken: set[str] = set()
    for v in graph.values():
        while v.name in taken:
            v.name += "_"
        taken.add(v.name)
    return graph


def _as_gemm(node: Node) -> Node:
    """A MatMul of matrices as a Gemm, which adds its bias to the sums; any other node as it is."""
    matrices = isinstance(node.op, MatMul) and all(len(v.shape or ()) == 2 for v in node.operands[:2])
    if not matrices or node.op.attributes():
        return node
    return Node(Gemm(), node.inputs, node.outputs, node.name, node.where)
