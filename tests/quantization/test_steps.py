"""The steps of quantization: histograms, ranges, grids, equalisation, bias correction."""

import numpy as np
import pytest

from fastconv.model import Model
from fastconv.progress import ignore
from fastconv.quantization.bias import correct_biases
from fastconv.quantization.calibration import Calibration
from fastconv.quantization.equalise import equalise, find_groups
from fastconv.quantization.grids import choose_grids, grid_over
from fastconv.quantization.layers import find_layers, rounded_values
from fastconv.quantization.pipeline import plain_graph
from fastconv.quantization.qdq import Scheme, rounded_weights
from fastconv.quantization.ranges import BINS, Histogram, measure_ranges, range_by_mse, range_by_percentile

from ..support.graphs import Net, normal
from ..support.rng import generator
from .test_quantize import network

RNG = generator(__name__)


def histogram(*arrays):
    h = Histogram()
    for a in arrays:
        h.add(np.asarray(a, np.float32))
    return h


def test_a_histogram_does_not_depend_on_the_order():
    parts = [np.zeros(7, np.float32), *(normal(RNG, 500) * np.float32(s) for s in (1e-3, 1, 100, 3))]
    one, other = histogram(*parts), histogram(*parts[::-1])
    np.testing.assert_array_equal(one.counts, other.counts)
    assert (one.width, one.low, one.high) == (other.width, other.low, other.high)
    assert one.counts.sum() == 2000  # zeros are not counted
    assert one.counts.size == 2 * BINS
    assert np.count_nonzero(histogram(parts[0], parts[1]).counts) > 400  # zeros alone do not make bins wide
    assert BINS / 2 * one.width <= max(-one.low, one.high) < BINS * one.width


@pytest.mark.parametrize("numbers", [[], [0, 0], [-1, 1], [3e38, -3e38], [1e-45], [4.0]])
def test_a_histogram_of_few_numbers(numbers):
    h = histogram(numbers)
    assert h.counts.sum() == np.count_nonzero(numbers)
    for low, high in (range_by_mse(h), range_by_percentile(h)):
        assert h.low <= low <= 0 <= high <= h.high


def test_ranges_leave_out_what_is_rare():
    h = histogram(normal(RNG, 100_000), [-40, 90])
    low, high = range_by_percentile(h)
    assert 3.5 < -low < 4.5
    assert 3.5 < high < 4.5
    low, high = range_by_mse(h)
    assert -40 <= low < -3
    assert 4 < high < 90


def test_mse_is_least_where_the_rounding_says():
    """The estimate from the histogram is the error that rounding makes."""
    x = np.concatenate([normal(RNG, 50_000), 30 * normal(RNG, 50)])

    def error(low, high):
        scale, zero = grid_over((low, high))
        return (((np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale - x) ** 2).sum()

    h = histogram(x)
    assert error(*range_by_mse(h)) < 0.95 * error(h.low, h.high)
    assert error(*range_by_mse(h)) < 1.05 * min(error(p * h.low, p * h.high) for p in np.linspace(0.2, 1, 41))


def test_zero_is_on_every_grid_and_a_bound_is_not_passed():
    for bounds in [(0, 6), (-1, 3), (-2.5, 0), (0, 0), (0.5, 1), (-1e-40, 1e-40)]:
        scale, zero = grid_over(bounds)
        assert scale > 0
        assert 0 <= zero <= 255
    for high in (6, 0.1, 1 / 3):
        scale, zero = grid_over((0, high))
        assert (zero, 255 * scale <= np.float32(high)) == (0, True)


def test_rounded_weights_are_within_half_a_step():
    w = normal(RNG, 6, 5, 3, 3)
    w[2] = 0
    for axis in (0, 1):
        integers, scales = rounded_weights(w, axis)
        by = np.expand_dims(scales, [i for i in range(4) if i != axis])
        assert (np.abs(integers * by - w) <= 0.5001 * by).all()
        assert np.abs(integers.astype(int)).max() == 127


def test_values_that_only_move_share_their_grid():
    graph = plain_graph(Model(network()))
    layers = find_layers(graph)
    data = Calibration(Model(graph), normal(RNG, 4, 3, 8, 8))
    grids = choose_grids(layers, measure_ranges(graph, rounded_values(layers), "mse", data, ignore))
    (pool,) = [x for x in layers if x.op == "MaxPool"]
    assert grids[pool.inputs[0]] == grids[pool.results[0]]


# ---- equalisation


def test_equalisation_keeps_the_network():
    """A depthwise layer, a residual and the chain behind it are scaled; the network's input and output are not."""
    net = Net()
    a = net("Relu", net("Conv", net.input("x", "N", 3, 8, 8), normal(RNG, 8, 3, 1, 1), normal(RNG, 8)))
    b = net("Relu", net("Conv", a, normal(RNG, 8, 1, 3, 3), normal(RNG, 8), group=8, pads=(1,) * 4))
    b = net("MaxPool", net("Add", a, net("Conv", b, normal(RNG, 8, 8, 1, 1))), kernel_shape=(2, 2))
    y = net("LeakyRelu", net("ConvTranspose", b, normal(RNG, 8, 4, 2, 2), normal(RNG, 4)))
    graph, x = net.graph(net("Conv", y, normal(RNG, 2, 2, 3, 3), group=2)), normal(RNG, 4, 3, 8, 8)

    def weights():
        return [np.array(n.input(1).constant) for n in graph.nodes if len(n.inputs) > 1 and n.input(1).constant is not None]

    before, exact = weights(), Model(graph)(x)
    assert sorted(len(g.readers) for g in find_groups(graph)) == [1, 1, 2]
    equalise(graph, rounded_values(find_layers(graph)), Calibration(Model(graph), x), ignore)
    assert not any(np.allclose(a, b) for a, b in zip(before, weights(), strict=True))
    np.testing.assert_allclose(Model(graph)(x), exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())


def test_a_depthwise_layer_gets_channels_of_one_range():
    net = Net()
    scale = np.exp(RNG.uniform(-3, 3, (8, 1, 1, 1))).astype(np.float32)
    y = net("Relu", net("Conv", net.input("x", "N", 3, 8, 8), normal(RNG, 8, 3, 3, 3) * scale, name="first"), name="relu")
    graph = net.graph(net("Conv", y, normal(RNG, 8, 1, 3, 3), group=8))
    x = normal(RNG, 4, 3, 8, 8)
    largest = Model(graph).run(x, "relu")["relu"].max(axis=(0, 2, 3))
    assert largest.max() > 4 * largest.min()
    equalise(graph, rounded_values(find_layers(graph)), Calibration(Model(graph), x), ignore)
    np.testing.assert_allclose(Model(graph).run(x, "relu")["relu"].max(axis=(0, 2, 3)), largest.max(), rtol=1e-5)


def test_a_clip_is_not_reached_by_channels_that_were_scaled():
    """Relu6 does not commute with a factor: channels that reach 6 stay, others have room left."""
    net = Net()
    scale = np.array([0.01, 0.1, 1, 10], np.float32).reshape(4, 1, 1, 1)
    y = net("Clip", net("Conv", net.input("x", "N", 3, 8, 8), normal(RNG, 4, 3, 3, 3) * scale), 0.0, 6.0, name="clip")
    graph = net.graph(net("Conv", y, normal(RNG, 4, 1, 3, 3), group=4))
    x = normal(RNG, 4, 3, 8, 8)
    y, before = Model(graph)(x), Model(graph).run(x, "clip")["clip"].max(axis=(0, 2, 3))
    equalise(graph, rounded_values(find_layers(graph)), Calibration(Model(graph), x), ignore)
    after = Model(graph).run(x, "clip")["clip"].max(axis=(0, 2, 3))
    np.testing.assert_allclose(Model(graph)(x), y, rtol=1e-4, atol=1e-5 * np.abs(y).max())
    assert (after[before == 6] == 6).all()
    np.testing.assert_allclose(after[before < 4], 6 / 1.25, rtol=1e-5)


# ---- bias correction


def test_bias_correction_reduces_the_mean_error():
    graph, x = plain_graph(Model(network())), np.abs(normal(RNG, 8, 3, 8, 8))
    layers, data = find_layers(graph), Calibration(Model(graph), x)
    ranges = measure_ranges(graph, rounded_values(layers), "percentile", data, ignore)
    plain = Scheme(graph, layers, choose_grids(layers, ranges))

    def error(scheme):
        alone, twins = scheme.each_alone()
        names = [name for layer, twin in twins.items() if layer.weighted for name in (twin.first, twin.twin_first)]
        found = Model(alone).run(x, names)
        pairs = zip(names[::2], names[1::2], strict=True)
        return sum(np.abs((found[a] - found[b]).mean(axis=(0, *range(2, found[a].ndim)))).sum() for a, b in pairs)

    assert error(correct_biases(plain, data, ignore)) < 0.05 * error(plain)
