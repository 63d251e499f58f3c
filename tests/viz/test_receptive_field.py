"""Receptive fields: those of well-known networks, and of small graphs against what changes if a pixel does."""

import numpy as np
import pytest

import fastconv
from fastconv import InputError, viz

from ..support.onnx_dicts import info, ints, model, node, tensor


class Network:
    """A network that is written node by node. It has one channel, and every weight is 1."""

    def __init__(self, *shape):
        self.nodes, self.weights, self.shape = [], [], shape

    def __call__(self, op_type, *inputs, kernel=None, **attributes):
        """The name of the node's result."""
        name = f"{op_type.lower()}{len(self.nodes)}"
        given = list(inputs)
        if kernel is not None and op_type != "MaxPool":
            self.weights.append(tensor(f"{name}.w", np.ones((1, 1, *kernel), np.float32)))
            given.append(f"{name}.w")
        elif kernel is not None:
            attributes["kernel_shape"] = kernel
        listed = [ints(key, *v) if isinstance(v, tuple) else {"name": key, **v} for key, v in attributes.items()]
        self.nodes.append(node(op_type, given, [name], *listed, name=name))
        return name

    def constant(self, name, values):
        self.weights.append(tensor(name, values))
        return name

    def load(self, *outputs):
        return fastconv.load(
            model(self.nodes, self.weights, [info("x", *self.shape)], [info(o, None, None, None, None) for o in outputs])
        )


def chain(size, layers):
    """A network of (operator, kernel, stride, padding) in a row, and the name of the last."""
    net, x = Network(1, 1, size, size), "x"
    for op_type, kernel, stride, pad in layers:
        x = net(op_type, x, kernel=(kernel, kernel), strides=(stride, stride), pads=(pad,) * 4)
    return net.load(x), x


def conv3(n):
    return [("Conv", 3, 1, 1)] * n


POOL = ("MaxPool", 2, 2, 0)
VGG16 = [*conv3(2), POOL, *conv3(2), POOL, *conv3(3), POOL, *conv3(3), POOL, *conv3(3)]
ALEXNET = [("Conv", 11, 4, 0), ("MaxPool", 3, 2, 0), ("Conv", 5, 1, 2), ("MaxPool", 3, 2, 0), *conv3(3)]
#: without the 1×1 convolutions of stride 1
RESNET50 = [("Conv", 7, 2, 3), ("MaxPool", 3, 2, 1), *conv3(3)]
for blocks in (4, 6, 3):
    RESNET50 += [("Conv", 1, 2, 0), *conv3(blocks)]


@pytest.mark.parametrize(
    "size, layers, seen, stride, offset",
    [
        (224, VGG16, 196, 16, -90),
        (227, ALEXNET, 163, 16, -64),
        (224, RESNET50, 483, 32, -241),
    ],
    ids=["vgg16 conv5_3", "alexnet conv5", "resnet50"],
)
def test_of_well_known_networks(size, layers, seen, stride, offset):
    field = viz.receptive_field(*chain(size, layers))
    assert (field.size, field.stride, field.offset) == ((seen, seen), (stride, stride), (offset, offset))


def residual(net):
    x = net("Conv", "x", kernel=(3, 3), pads=(1, 1, 1, 1))
    wide = net("Conv", x, kernel=(3, 3), pads=(2, 2, 2, 2), dilations=(2, 2))
    return net("Add", x, net("Conv", wide, kernel=(1, 5), pads=(0, 2, 0, 2)))


def inception(net):
    """Branches of different reach, strides and paddings."""
    a = net("Conv", "x", kernel=(5, 5), strides=(2, 2), pads=(2, 2, 2, 2))
    b = net("MaxPool", "x", kernel=(3, 2), strides=(2, 2), pads=(1, 0, 1, 0))
    return net("Conv", net("Concat", a, b, axis={"i": "3", "type": "INT"}), kernel=(1, 3))


def decoder(net):
    low = net("Conv", "x", kernel=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    high = net("ConvTranspose", low, kernel=(2, 3), strides=(2, 2), pads=(0, 1, 0, 0))
    return net("Conv", net("Add", high, "x"), kernel=(3, 3), strides=(2, 1), pads=(0, 1, 1, 1))


def pyramid(net):
    low = net("MaxPool", "x", kernel=(4, 3), strides=(4, 3))
    scales = net.constant("scales", np.float32([1, 1, 4, 3]))
    high = net("Resize", low, "", scales, mode={"s": "bGluZWFy", "type": "STRING"})  # linear
    return net("Conv", high, kernel=(3, 3), pads=(1, 1, 1, 1))


def turned(net):
    x = net("Transpose", "x", perm=(0, 1, 3, 2))
    return net("Conv", x, kernel=(5, 3), strides=(2, 1), pads=(0, 0, 1, 1))


@pytest.mark.parametrize("build", [residual, inception, decoder, pyramid, turned])
def test_against_what_changes(build):
    """Every unit, along each axis: the first and the last row that it depends on."""
    net = Network(1, 1, 12, 12)
    network = net.load(layer := build(net))
    field = viz.receptive_field(network, layer)
    x = np.random.default_rng(0).uniform(1, 1.9, (1, 1, 12, 12)).astype(np.float32)
    y = network.reference(x)
    for axis, units in enumerate(field.order):
        sees = []
        for row in range(12):
            doubled = x.copy()
            np.moveaxis(doubled[0, 0], axis, 0)[row] *= 2
            sees.append((network.reference(doubled) != y)[0, 0].any(axis=1 - units))
        for unit, rows in enumerate(np.transpose(sees)):
            place = (unit, 0) if units == 0 else (0, unit)
            seen = field.pixels(*place)[axis]
            assert (seen.start, seen.stop - 1) == (rows.argmax(), 11 - rows[::-1].argmax())


def test_what_follows_a_global_pool_sees_the_whole_picture():
    """As in squeeze and excitation, also where it scales maps of the whole size."""
    net = Network("N", 1, 12, 12)
    x = net("Conv", "x", kernel=(3, 3))
    scaled = net("Mul", x, net("GlobalAveragePool", x))
    network = net.load(scaled)
    field = viz.receptive_field(network, scaled)
    assert (field.size, field.stride, field.pixels(0, 9), str(field)) == (
        (12, 12), (0.0, 0.0), (slice(0, 12), slice(0, 12)), "the whole picture",
    )  # fmt: skip
    assert str(viz.receptive_field(network, x)) == "3×3 pixels, stride 1"


def test_names_are_those_of_layers_and_values():
    digits = fastconv.load(fastconv.data.DIGITS)
    by_layer, by_value = (viz.receptive_field(digits, name) for name in ("conv2", "relu2"))
    assert by_layer.size == by_value.size == (10, 10)
    with pytest.raises(InputError, match=r"^the model has no layer or value 'conv3'; did you mean 'conv2'\?$"):
        viz.receptive_field(digits, "conv3")
    with pytest.raises(InputError, match=r"^layer 'fc1' is 1×64: it has no spatial axes"):
        viz.receptive_field(digits, "fc1")
    with pytest.raises(InputError, match=r"^unit: expected indices below 4×4"):
        by_layer.pixels(4, 0)
