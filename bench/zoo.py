"""Networks with random weights, as Graphs: `build("resnet50")`. The layers of eight are those of fastconv/bench/shapes; `style`
is the network of fast style transfer (Johnson et al., 2016, with InstanceNormalization), `unet3d` a small U-Net over volumes,
`vit` a ViT-S/16 (Dosovitskiy et al., 2021), `detector` has the layers of YOLOv5s at 320x320.

BatchNormalization is folded into the convolutions, as in most files that are made for inference; the networks end before the
softmax. Not for answers: for times and for the shapes of real graphs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fastconv.graph import Graph, Node, Value
from fastconv.ops import REGISTRY

Fill = Callable[[tuple[int, ...]], np.ndarray]


def he(seed: int = 0) -> Fill:
    """Weights that neither grow nor shrink the activations on their way (He et al., arXiv:1502.01852)."""
    rng = np.random.default_rng(seed)

    def fill(shape: tuple[int, ...]) -> np.ndarray:
        scale = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1
        return rng.standard_normal(shape, np.float32) * np.float32(scale)

    return fill


def empty(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros that take no memory: for a graph that is not run."""
    return np.broadcast_to(np.float32(0), shape)


class Network:
    """A graph in the making; every method adds nodes behind `x` and returns their result."""

    def __init__(self, name: str, image: tuple[int, ...], fill: Fill, batch: int):
        self.fill = fill
        self.image = Value("image", (batch, *image), np.dtype(np.float32))
        self.graph = Graph([self.image], [], [], name)

    def add(self, kind: str, *inputs: Value | None, **attributes) -> Value:
        op = REGISTRY[kind](**attributes)
        name = f"{kind}{len(self.graph.nodes)}"
        (shape, dtype), *_ = op.infer(*inputs)
        y = Value(f"{name}.y", shape, dtype)
        self.graph.nodes.append(Node(op, inputs, [y], name))
        return y

    def constant(self, array: np.ndarray) -> Value:
        return Value(f"constant{len(self.graph.nodes)}.{'b' if array.ndim == 1 else 'w'}", constant=array)

    def weights(self, *shape: int, OC: int) -> tuple[Value, Value]:
        return self.constant(self.fill(shape)), self.constant(self.fill((OC,)))

    def conv(self, x: Value, OC: int, kernel: int, stride: int = 1, pad: int | None = None, groups: int = 1) -> Value:
        pad, axes = kernel // 2 if pad is None else pad, len(x.dims) - 2
        w, b = self.weights(OC, x.dims[1] // groups, *(kernel,) * axes, OC=OC)
        window = {"kernel_shape": (kernel,) * axes, "strides": (stride,) * axes, "pads": (pad,) * 2 * axes}
        return self.add("Conv", x, w, b, **window, group=groups)

    def upsample(self, x: Value, OC: int) -> Value:
        """Twice the size, by a transposed convolution."""
        two = (2,) * (len(x.dims) - 2)
        w, b = self.weights(x.dims[1], OC, *two, OC=OC)
        return self.add("ConvTranspose", x, w, b, kernel_shape=two, strides=two)

    def norm(self, x: Value) -> Value:
        return self.add("InstanceNormalization", x, *self.weights(x.dims[1], OC=x.dims[1]))

    def relu(self, x: Value) -> Value:
        return self.add("Relu", x)

    def relu6(self, x: Value) -> Value:
        bounds = [Value(f"clip{len(self.graph.nodes)}.{b}", constant=np.array(b, np.float32)) for b in (0, 6)]
        return self.add("Clip", x, *bounds)

    def max_pool(self, x: Value, kernel: int, stride: int, pad: int = 0, ceil: int = 0) -> Value:
        axes = len(x.dims) - 2
        window = {"kernel_shape": (kernel,) * axes, "strides": (stride,) * axes, "pads": (pad,) * 2 * axes}
        return self.add("MaxPool", x, **window, ceil_mode=ceil)

    def concat(self, *inputs: Value) -> Value:
        return self.add("Concat", *inputs, axis=1)

    def linear(self, x: Value, OC: int) -> Value:
        x = x if len(x.dims) == 2 else self.add("Flatten", x)
        return self.add("Gemm", x, *self.weights(OC, x.dims[1], OC=OC), transB=1)

    def classifier(self, x: Value, *widths: int) -> Value:
        for width in widths:
            x = self.relu(self.linear(x, width))
        return self.linear(x, 1000)

    def average(self, x: Value) -> Value:
        return self.add("GlobalAveragePool", x)

    def reshape(self, x: Value, *shape: int) -> Value:
        return self.add("Reshape", x, self.constant(np.array(shape)))

    def transpose(self, x: Value, *perm: int) -> Value:
        return self.add("Transpose", x, perm=perm)

    def dense(self, x: Value, OC: int) -> Value:
        w, b = self.weights(OC, x.dims[-1], OC=OC)
        return self.add("Add", self.add("MatMul", x, self.constant(w.constant.T)), b)

    def layer_norm(self, x: Value) -> Value:
        ones, zeros = (self.constant(f(x.dims[-1:], np.float32)) for f in (np.ones, np.zeros))
        return self.add("LayerNormalization", x, ones, zeros, epsilon=1e-6)

    def attention(self, x: Value, heads: int) -> Value:
        N, S, C = x.dims
        qkv = self.transpose(self.reshape(self.dense(x, 3 * C), N, S, 3, heads, C // heads), 2, 0, 3, 1, 4)
        q, k, v = (self.add("Gather", qkv, self.constant(np.array(i)), axis=0) for i in range(3))
        scores = self.add("MatMul", q, self.transpose(k, 0, 1, 3, 2))
        scores = self.add("Softmax", self.add("Div", scores, self.constant(np.array(math.sqrt(C // heads), np.float32))))
        return self.dense(self.reshape(self.transpose(self.add("MatMul", scores, v), 0, 2, 1, 3), N, S, C), C)


def alexnet(net: Network) -> Value:
    x = net.max_pool(net.relu(net.conv(net.image, 96, 11, 4, 0)), 3, 2)
    x = net.max_pool(net.relu(net.conv(x, 256, 5)), 3, 2)
    for OC in (384, 384, 256):
        x = net.relu(net.conv(x, OC, 3))
    return net.classifier(net.max_pool(x, 3, 2), 4096, 4096)


def vgg16(net: Network) -> Value:
    x = net.image
    for OC, convs in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convs):
            x = net.relu(net.conv(x, OC, 3))
        x = net.max_pool(x, 2, 2)
    return net.classifier(x, 4096, 4096)


def googlenet(net: Network) -> Value:
    def inception(x: Value, one: int, *towers: int) -> Value:
        reduce3, three, reduce5, five, project = towers
        return net.concat(
            net.relu(net.conv(x, one, 1)),
            net.relu(net.conv(net.relu(net.conv(x, reduce3, 1)), three, 3)),
            net.relu(net.conv(net.relu(net.conv(x, reduce5, 1)), five, 5)),
            net.relu(net.conv(net.max_pool(x, 3, 1, 1), project, 1)),
        )

    x = net.max_pool(net.relu(net.conv(net.image, 64, 7, 2)), 3, 2, ceil=1)
    x = net.relu(net.conv(net.relu(net.conv(x, 64, 1)), 192, 3))
    x = net.max_pool(x, 3, 2, ceil=1)
    x = inception(x, 64, 96, 128, 16, 32, 32)
    x = inception(x, 128, 128, 192, 32, 96, 64)
    x = net.max_pool(x, 3, 2, ceil=1)
    x = inception(x, 192, 96, 208, 16, 48, 64)
    x = inception(x, 160, 112, 224, 24, 64, 64)
    x = inception(x, 128, 128, 256, 24, 64, 64)
    x = inception(x, 112, 144, 288, 32, 64, 64)
    x = inception(x, 256, 160, 320, 32, 128, 128)
    x = net.max_pool(x, 3, 2, ceil=1)
    x = inception(x, 256, 160, 320, 32, 128, 128)
    x = inception(x, 384, 192, 384, 48, 128, 128)
    return net.classifier(net.average(x))


def squeezenet(net: Network) -> Value:
    def fire(x: Value, squeeze: int, expand: int) -> Value:
        x = net.relu(net.conv(x, squeeze, 1))
        return net.concat(net.relu(net.conv(x, expand, 1)), net.relu(net.conv(x, expand, 3)))

    x = net.max_pool(net.relu(net.conv(net.image, 64, 3, 2, 0)), 3, 2)
    x = net.max_pool(fire(fire(x, 16, 64), 16, 64), 3, 2)
    x = net.max_pool(fire(fire(x, 32, 128), 32, 128), 3, 2)
    x = fire(fire(fire(fire(x, 48, 192), 48, 192), 64, 256), 64, 256)
    return net.add("Flatten", net.average(net.relu(net.conv(x, 1000, 1))))


def _resnet(net: Network, depths: tuple[int, ...], bottleneck: bool) -> Value:
    x = net.max_pool(net.relu(net.conv(net.image, 64, 7, 2)), 3, 2, 1)
    for stage, depth in enumerate(depths):
        C = 64 << stage
        OC = 4 * C if bottleneck else C
        for block in range(depth):
            stride = 2 if stage and not block else 1
            if bottleneck:
                y = net.relu(net.conv(x, C, 1))
                y = net.conv(net.relu(net.conv(y, C, 3, stride)), OC, 1)
            else:
                y = net.conv(net.relu(net.conv(x, C, 3, stride)), OC, 3)
            shortcut = x if x.dims[1:] == y.dims[1:] else net.conv(x, OC, 1, stride)
            x = net.relu(net.add("Add", y, shortcut))
    return net.classifier(net.average(x))


def resnet18(net: Network) -> Value:
    return _resnet(net, (2, 2, 2, 2), bottleneck=False)


def resnet50(net: Network) -> Value:
    return _resnet(net, (3, 4, 6, 3), bottleneck=True)


def mobilenetv2(net: Network) -> Value:
    x = net.relu6(net.conv(net.image, 32, 3, 2))
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expand, OC, depth, first in stages:
        for block in range(depth):
            stride, C = 1 if block else first, x.dims[1] * expand
            y = x if expand == 1 else net.relu6(net.conv(x, C, 1))
            y = net.conv(net.relu6(net.conv(y, C, 3, stride, groups=C)), OC, 1)
            x = net.add("Add", x, y) if x.dims == y.dims else y
    return net.classifier(net.average(net.relu6(net.conv(x, 1280, 1))))


def unet(net: Network) -> Value:
    def twice(x: Value, OC: int) -> Value:
        return net.relu(net.conv(net.relu(net.conv(x, OC, 3)), OC, 3))

    x, skips = net.image, []
    for OC in (32, 64, 128, 256):
        skips.append(twice(x, OC))
        x = net.max_pool(skips[-1], 2, 2)
    x = twice(x, 512)
    for OC in (256, 128, 64, 32):
        x = twice(net.concat(net.upsample(x, OC), skips.pop()), OC)
    return net.conv(x, 2, 1)


def style(net: Network) -> Value:
    def conv(x: Value, OC: int, kernel: int, stride: int = 1) -> Value:
        pads = net.constant(np.array([0, 0, kernel // 2, kernel // 2] * 2))
        return net.conv(net.add("Pad", x, pads, mode="reflect"), OC, kernel, stride, 0)

    x = net.image
    for OC, kernel, stride in ((32, 9, 1), (64, 3, 2), (128, 3, 2)):
        x = net.relu(net.norm(conv(x, OC, kernel, stride)))
    for _ in range(5):
        y = net.relu(net.norm(conv(x, 128, 3)))
        x = net.add("Add", net.norm(conv(y, 128, 3)), x)
    scales = net.constant(np.float32([1, 1, 2, 2]))
    for OC in (64, 32):
        x = net.add("Resize", x, None, scales, coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        x = net.relu(net.norm(conv(x, OC, 3)))
    return conv(x, 3, 9)


def unet3d(net: Network) -> Value:
    def twice(x: Value, OC: int) -> Value:
        for _ in range(2):
            x = net.relu(net.norm(net.conv(x, OC, 3)))
        return x

    x, skips = net.image, []
    for OC in (16, 32):
        skips.append(twice(x, OC))
        x = net.max_pool(skips[-1], 2, 2)
    x = twice(x, 64)
    for OC in (32, 16):
        x = twice(net.concat(net.upsample(x, OC), skips.pop()), OC)
    return net.conv(x, 2, 1)


def vit(net: Network) -> Value:
    """ViT-S/16: patches of 16x16 and a token for the class, 384 wide, 6 heads, 12 blocks."""
    C, heads, depth = 384, 6, 12
    x = net.conv(net.image, C, 16, 16, 0)
    x = net.transpose(net.reshape(x, *x.dims[:2], -1), 0, 2, 1)
    x = net.add("Concat", net.constant(np.repeat(net.fill((1, 1, C)), x.dims[0], axis=0)), x, axis=1)
    x = net.add("Add", x, net.constant(net.fill((1, *x.dims[1:]))))
    for _ in range(depth):
        x = net.add("Add", x, net.attention(net.layer_norm(x), heads))
        x = net.add("Add", x, net.dense(net.add("Gelu", net.dense(net.layer_norm(x), 4 * C)), C))
    return net.linear(net.add("Gather", net.layer_norm(x), net.constant(np.array(0)), axis=1), 1000)


def detector(net: Network) -> Value:
    """Three scales of boxes, N x 255 x 2100: convolutions with SiLU, Concat, MaxPool, Resize."""

    def conv(x: Value, OC: int, kernel: int = 1, stride: int = 1, pad: int | None = None) -> Value:
        y = net.conv(x, OC, kernel, stride, pad)
        return net.add("Mul", y, net.add("Sigmoid", y))

    def c3(x: Value, OC: int, depth: int, shortcut: bool = True) -> Value:
        y = conv(x, OC // 2)
        for _ in range(depth):
            z = conv(conv(y, OC // 2), OC // 2, 3)
            y = net.add("Add", y, z) if shortcut else z
        return conv(net.concat(y, conv(x, OC // 2)), OC)

    def upsample(x: Value) -> Value:
        scales = net.constant(np.float32([1, 1, 2, 2]))
        return net.add("Resize", x, None, scales, coordinate_transformation_mode="asymmetric", nearest_mode="floor")

    x, maps = conv(net.image, 32, 6, 2, 2), []
    for OC, depth in ((64, 1), (128, 2), (256, 3), (512, 1)):
        x = c3(conv(x, OC, 3, 2), OC, depth)
        maps.append(x)
    pools = [conv(x, 256)]
    for _ in range(3):
        pools.append(net.max_pool(pools[-1], 5, 1, 2))
    large = conv(conv(net.concat(*pools), 512), 256)
    middle = conv(c3(net.concat(upsample(large), maps[2]), 256, 1, shortcut=False), 128)
    found = [c3(net.concat(upsample(middle), maps[1]), 128, 1, shortcut=False)]
    for OC, before in ((256, middle), (512, large)):
        found.append(c3(net.concat(conv(found[-1], OC // 2, 3, 2), before), OC, 1, shortcut=False))
    boxes = [net.reshape(net.conv(y, 255, 1), y.dims[0], 255, -1) for y in found]
    return net.add("Concat", *boxes, axis=2)


ZOO = {
    f.__name__: f
    for f in (alexnet, vgg16, googlenet, squeezenet, resnet18, resnet50, mobilenetv2, unet, style, unet3d, vit, detector)
}
#: those that are compared with other engines, and those that are quantized for that
COMPARED = ("alexnet", "vgg16", "resnet18", "resnet50", "mobilenetv2", "squeezenet", "unet")
QUANTIZED = ("resnet50", "resnet18", "mobilenetv2", "squeezenet", "vgg16", "detector")
#: the inputs of those that do not take 3 x 224 x 224
IMAGES = {
    "alexnet": (3, 227, 227),
    "unet": (3, 256, 256),
    "style": (3, 256, 256),
    "unet3d": (1, 32, 64, 64),
    "detector": (3, 320, 320),
}


def build(name: str, fill: Fill | None = None, batch: int = 1, image: tuple[int, ...] | None = None) -> Graph:
    """The graph of a network for `batch` images of the usual shape, its weights made by `fill` (default: He's random ones)."""
    net = Network(name, image or IMAGES.get(name, (3, 224, 224)), fill or he(), batch)
    net.graph.outputs = [ZOO[name](net)]
    return net.graph
