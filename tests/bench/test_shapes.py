"""The layer lists of fastconv/bench/shapes against what is known of the networks."""

import dataclasses
import math

import pytest

from fastconv.bench import layers


def test_every_file_is_a_network():
    assert {p.stem for p in layers.SHAPES.glob("*.txt")} == set(layers.NETWORKS)


@pytest.mark.parametrize("network", layers.NETWORKS)
def test_every_shape_stands_once_under_a_name_of_its_own(network):
    shapes = layers.load(network)
    assert len({layer.label for layer in shapes}) == len(shapes)
    assert len({(type(layer), *dataclasses.astuple(layer)[3:]) for layer in shapes}) == len(shapes)
    assert all(layer.count > 0 and min(layer.y_shape) > 0 and layer.flops > 0 for layer in shapes)


# GFLOP of all convolutions and linear layers at batch 1: twice the multiply-adds that model tables give. The U-Net is in no
# table: its figure was summed from an ONNX graph of the same network.
@pytest.mark.parametrize(
    "network, gflop",
    [
        ("alexnet", 2.27),
        ("vgg16", 30.94),
        ("googlenet", 3.17),
        ("squeezenet", 0.70),
        ("resnet18", 3.63),
        ("resnet50", 8.18),
        ("mobilenetv2", 0.60),
        ("unet", 24.15),
    ],
)
def test_flops(network, gflop):
    work = layers.load(network, layers.Conv, layers.ConvTranspose, layers.Linear)
    assert round(sum(s.count * s.flops for s in work) / 1e9, 2) == gflop


# Weights and biases, BatchNormalization folded (so one bias a channel, where the published figure counts scale and shift).
@pytest.mark.parametrize(
    "network, parameters",
    [
        ("alexnet", 62_378_344),
        ("vgg16", 138_357_544),
        ("googlenet", 6_998_552),
        ("squeezenet", 1_235_496),
        ("resnet18", 11_689_512 - 9_600 // 2),
        ("resnet50", 25_557_032 - 53_120 // 2),
        ("mobilenetv2", 3_504_872 - 34_112 // 2),
    ],
)
def test_parameters(network, parameters):
    assert sum(s.count * sum(map(math.prod, s.weights)) for s in layers.load(network)) == parameters


def test_sizes_of_one_layer_of_each_kind():
    conv = layers.parse("conv 2 4 9 8 6 3 3 2 1 2 2 1 c", "net")
    assert (conv.label, conv.x_shape, conv.weights, conv.y_shape) == ("net/c", (2, 4, 9, 8), ((6, 2, 3, 3), (6,)), (2, 6, 4, 3))
    assert conv.flops == 2 * (2 * 6 * 4 * 3) * (2 * 3 * 3)
    assert conv.elements == 2 * 4 * 9 * 8 + 6 * 2 * 3 * 3 + 6 + 2 * 6 * 4 * 3
    up = layers.parse("conv_transpose 1 4 5 5 3 2 2 2 1 u", "net")
    assert (up.y_shape, up.flops) == ((1, 3, 10, 10), 2 * (4 * 5 * 5) * (3 * 2 * 2))
    pool = layers.parse("max_pool 1 4 112 112 3 3 2 0 1 1 p", "net")
    assert (pool.y_shape, pool.flops) == ((1, 4, 56, 56), 4 * 56 * 56 * 9)
    assert isinstance(pool, layers.MaxPool)
    fc = layers.parse("linear 2 10 7 1 f", "net")
    assert (fc.flops, fc.elements) == (2 * 2 * 10 * 7, 2 * 10 + 10 * 7 + 7 + 2 * 7)


@pytest.mark.parametrize(
    "line, message",
    [("relu 1 2 3 1 r", "net: unknown kind 'relu'"), ("linear 1 2 1 f", "net: expected linear N K OC count name, got")],
)
def test_a_bad_line_is_an_error(line, message):
    with pytest.raises(ValueError, match=message):
        layers.parse(line, "net")
