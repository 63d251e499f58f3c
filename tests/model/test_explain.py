"""The arithmetic of layers: every equation holds, and says what the layer's numbers say."""

import math
import re

import numpy as np
import pytest
import zoo

from fastconv.passes import run_passes
from fastconv.summary import layer_of

from ..support.graphs import Net

RESULT = re.compile(r"[0-9][0-9,]*")
PYTHON = str.maketrans("·−⌊⌈", "*-((")


def fill(shape):
    """Arrays that take no memory until they are read; biases of zeros would be dropped."""
    return (np.ones if len(shape) == 1 else np.zeros)(shape, np.float32)


def layers(graph, images=1):
    """The Layers of a graph after all passes."""
    return [layer_of(n, "", images) for n in run_passes(graph).nodes]


def evaluated(left):
    """The value of the left side of an equation."""
    if "⌈" in left:
        left = re.sub(r"⌈(.*)⌉", r"-(-(\1)//1)", left)
    return eval(re.sub(r"⌊(.*)⌋", r"((\1)//1)", left).translate(PYTHON))


def checked(layer):
    """{what: number} of the layer's equations, each of which holds."""
    said = {}
    for line in layer.explanation:
        what, text = line.split(": ", 1)
        *left, right = text.split(" = ")
        said[what] = int(RESULT.match(right)[0].replace(",", ""))
        assert not left or evaluated(*left) == said[what], line
    return said


def check(layer):
    """Every equation holds and equals the fact of the layer that it is about, and no fact is left out."""
    said = checked(layer)
    sizes = [n for what, n in said.items() if "at stride" in what]
    if layer.window:
        assert sizes == [*layer.window.out] or (len(sizes) == 1 and {*sizes} == {*layer.window.out})
        assert layer.output[2:] in (layer.window.out, ())
    counts = [n for what, n in said.items() if what == "parameters" or "→" in what]
    assert counts == [layer.params] * bool(layer.params)
    assert said.get("multiply-adds", 0) == layer.multiply_adds
    if (unshared := said.get("without sharing weights")) is not None:
        assert unshared * layer.output[1] == math.prod(layer.output[1:]) * layer.params


@pytest.mark.parametrize("network", zoo.ZOO)
def test_equations_of_networks_hold(network):
    for layer in layers(zoo.build(network, fill)):
        check(layer)


def test_a_lecture_on_alexnet():
    first, pool, *_, fully_connected = layers(zoo.build("alexnet", fill))
    assert first.explanation == (
        "11×11 at stride 4: (227 − 11 + 2·0)/4 + 1 = 55",
        "parameters: (11·11·3 + 1)·96 = 34,944",
        "multiply-adds: 55·55·96 · 11·11·3 = 105,415,200",
        "without sharing weights: 55·55·96 · 364 = 105,705,600 parameters",
    )
    assert pool.explanation == ("3×3 at stride 2: (55 − 3)/2 + 1 = 27, no parameters",)
    assert fully_connected.explanation[0] == "4096 → 1000: 4096·1000 + 1000 = 4,097,000 parameters"


def test_a_lecture_on_cifar():
    net = Net()
    x = net.input("x", 1, 3, 32, 32)
    y = net("Gemm", net("Flatten", x), fill((3072, 10)), fill((10,)))
    flatten, gemm, pool = layers(net.graph(net("MaxPool", x, kernel_shape=(2, 2), strides=(2, 2)), y))
    assert pool.explanation == ("2×2 at stride 2: (32 − 2)/2 + 1 = 16, no parameters",)
    assert flatten.explanation == ("3×32×32 in a row: 3·32·32 = 3,072",)
    assert gemm.explanation == ("3072 → 10: 3072·10 + 10 = 30,730 parameters", "multiply-adds: 3072·10 = 30,720")


SIGNAL, IMAGE = (1, 4, 33), (1, 96, 33, 33)


@pytest.mark.parametrize(
    "op, shape, weights, attributes, expected",
    [
        (
            "Conv", IMAGE, [(96, 1, 3, 3), (96,)], {"group": 96, "dilations": (2, 2), "pads": (2, 2, 2, 2)},
            [
                "3×3 at dilation 2: (3 − 1)·2 + 1 = 5", "3×3 at stride 1: (33 − 5 + 2·2)/1 + 1 = 33",
                "parameters: (3·3·96/96 + 1)·96 = 960", "multiply-adds: 33·33·96 · 3·3·96/96 = 940,896",
                "without sharing weights: 33·33·96 · 10 = 1,045,440 parameters",
            ],
        ),
        (
            "Conv", IMAGE, [(8, 96, 3, 5)], {"auto_pad": "SAME_UPPER", "strides": (4, 2)},
            [
                "height, 3 padded as SAME_UPPER: (9 − 1)·4 + 3 − 33 = 2, 1 before and 1 after",
                "height, 3 at stride 4: (33 − 3 + 2·1)/4 + 1 = 9",
                "width, 5 padded as SAME_UPPER: (17 − 1)·2 + 5 − 33 = 4, 2 before and 2 after",
                "width, 5 at stride 2: (33 − 5 + 2·2)/2 + 1 = 17",
                "parameters: 3·5·96·8 = 11,520", "multiply-adds: 9·17·8 · 3·5·96 = 1,762,560",
                "without sharing weights: 9·17·8 · 1440 = 1,762,560 parameters",
            ],
        ),
        (
            "ConvTranspose", IMAGE, [(96, 4, 3, 3), (8,)],
            {"group": 2, "strides": (2, 2), "pads": (1, 0, 1, 1), "output_padding": (1, 1)},
            [
                "height, 3 at stride 2: (33 − 1)·2 + 3 − 2·1 + 1 = 66", "width, 3 at stride 2: (33 − 1)·2 + 3 − 0 − 1 + 1 = 67",
                "parameters: (3·3·96/2 + 1)·8 = 3,464", "multiply-adds: 33·33·8 · 3·3·96/2 = 3,763,584",
            ],
        ),
        (
            "ConvTranspose", SIGNAL, [(4, 2, 3)], {"output_shape": (38,)},
            [
                "height, 1 at stride 1: (1 − 1)·1 + 1 − 2·0 = 1", "width, 3 at stride 1: (33 − 1)·1 + 3 − 0 + 3 = 38",
                "parameters: 1·3·4·2 = 24", "multiply-adds: 1·33·2 · 1·3·4 = 792",
            ],
        ),
        ("MaxPool", IMAGE, [], {"kernel_shape": (2, 2), "strides": (2, 2)},
         ["2×2 at stride 2: ⌊(33 − 2)/2⌋ + 1 = 16, no parameters"]),
        (
            "AveragePool", IMAGE, [], {"kernel_shape": (2, 2), "strides": (2, 2), "ceil_mode": 1},
            ["2×2 at stride 2: ⌈(33 − 2)/2⌉ + 1 = 17, no parameters"],
        ),
        (
            "AveragePool", IMAGE, [], {"kernel_shape": (3, 3), "pads": (0, 0, 1, 1), "strides": (2, 2)},
            ["3×3 at stride 2: ⌊(33 − 3 + 0 + 1)/2⌋ + 1 = 16, no parameters"],
        ),
        ("GlobalMaxPool", IMAGE, [], {}, ["33×33 at stride 1: (33 − 33)/1 + 1 = 1, no parameters"]),
        (
            "GlobalMaxPool", (1, 2, 2, 3, 1, 3), [], {},
            [
                "axis 2, 2 at stride 1: (2 − 2)/1 + 1 = 1", "axis 3, 3 at stride 1: (3 − 3)/1 + 1 = 1",
                "axis 4, 1 at stride 1: (1 − 1)/1 + 1 = 1", "axis 5, 3 at stride 1: (3 − 3)/1 + 1 = 1, no parameters",
            ],
        ),
        (
            "ReduceMean", IMAGE, [np.int64([-1, 2])], {"keepdims": 0},
            ["33×33 at stride 1: (33 − 33)/1 + 1 = 1, no parameters"],
        ),
        ("ReduceMean", (1, 197, 384), [np.int64([-1])], {}, []),
        ("InstanceNormalization", IMAGE, [(96,), (96,)], {}, ["parameters: 96 + 96 = 192"]),
        ("PRelu", IMAGE, [(96, 1, 1)], {}, ["parameters: 96"]),
        ("MatMul", (1, 197, 384), [(384, 10)], {},
         ["384 → 10: 384·10 = 3,840 parameters", "multiply-adds: 197 · 384·10 = 756,480"]),
        ("MatMul", (5,), [(5,)], {}, ["5 → 1: 5·1 = 5 parameters", "multiply-adds: 5·1 = 5"]),
        ("Relu", IMAGE, [], {}, []),
    ],
)  # fmt: skip
def test_the_arithmetic_of_an_operator(op, shape, weights, attributes, expected):
    net = Net()
    constants = [w if isinstance(w, np.ndarray) else np.ones(w, np.float32) for w in weights]
    y = net(op, net.input("x", *shape), *constants, **attributes)
    (layer,) = (x for x in layers(net.graph(y)) if op in x.op)
    check(layer)
    assert list(layer.explanation) == expected


def test_images_of_a_batch_multiply_the_work_alone():
    graph = zoo.build("alexnet", fill)
    one, eight = layers(graph)[0], layers(graph, images=8)[0]
    check(eight)
    assert [line for line in eight.explanation if line not in one.explanation] == [
        "multiply-adds: 8·55·55·96 · 11·11·3 = 843,321,600"
    ]


def test_parameters_of_fused_nodes_are_the_layers():
    net = Net()
    y = net("PRelu", net("Conv", net.input("x", 1, 3, 8, 8), fill((4, 3, 3, 3)), fill((4,))), np.ones((4, 1, 1), np.float32))
    conv, slopes = net.graph(y).nodes
    conv.epilogue = [slopes]
    layer = layer_of(conv, "")
    assert "parameters: (3·3·3 + 1)·4 + 4 = 116" in layer.explanation
    assert checked(layer)["parameters"] == layer.params


def test_sizes_that_are_unknown_are_left_out():
    net = Net()
    (layer,) = layers(net.graph(net("Conv", net.input("x", "N", 3, "H", "W"), fill((8, 3, 3, 3)), fill((8,)))))
    assert layer.explanation == ("parameters: 8·3·3·3 + 8 = 224",)
    assert layer.activation_bytes is None


def test_the_bytes_of_activations():
    first, *_ = layers(zoo.build("alexnet", fill))
    assert first.activation_bytes == 55 * 55 * 96 * 4
