"""The heads of networks, a text recognizer's recurrent layers and a detector's boxes, run on kernels alone."""

import numpy as np
import pytest

import fastconv
from fastconv import kernels, onnx_json

from ..support.graphs import Net, normal
from ..support.harness import EPS
from ..support.rng import generator

RNG = generator(__name__)
ISAS = kernels.available("conv_direct")


@pytest.fixture(params=ISAS)
def load(tmp_path, monkeypatch, request):
    def load(graph):
        monkeypatch.setenv("FASTCONV_ISA", request.param)
        onnx_json.write(graph, tmp_path / "m.json")
        return fastconv.load(tmp_path / "m.json", threads=2)

    return load


def conv(net, x, OC, size, **more):
    IC = x.dims[1]
    w = normal(RNG, OC, IC, size, size) / np.sqrt(np.float32(IC * size * size))
    return net("Conv", x, w, normal(RNG, OC), pads=(size // 2,) * 4, **more)


def near(y, expected):
    """The error bound of some ten layers in a chain, each of which adds a few roundings of its largest values."""
    np.testing.assert_allclose(y, expected, rtol=0, atol=40 * EPS * np.abs(expected).max())


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
@pytest.mark.parametrize("N", [1, 3])
def test_a_text_recogniser(load, cell, N):
    """A text recognizer's head: two bidirectional recurrent layers over a picture's columns, and 37 letters for each."""
    net, H, G = Net(), 24, {"LSTM": 4, "GRU": 3}[cell]
    x = y = net.input("x", N, 1, 16, 48)
    for OC in (16, 32):
        y = net("MaxPool", net("Relu", conv(net, y, OC, 3)), kernel_shape=(2, 2), strides=(2, 2))
    y = net("Relu", conv(net, y, 40, 3, strides=(4, 1)))
    y = net("Transpose", net("Squeeze", y, np.array([2])), perm=(2, 0, 1))
    for OC in (H, 37):
        T, _, C = y.dims
        w = normal(RNG, 2, G * H, C) / np.sqrt(np.float32(C))
        r = normal(RNG, 2, G * H, H) / np.sqrt(np.float32(H))
        options = {"hidden_size": H, "direction": "bidirectional", **({"linear_before_reset": 1} if cell == "GRU" else {})}
        y = net(cell, y, w, r, normal(RNG, 2, 2 * G * H), results=2, **options)[0]
        y = net("Reshape", net("Transpose", y, perm=(0, 2, 1, 3)), np.array([T, N, 2 * H]))
        y = net("Add", net("MatMul", y, normal(RNG, 2 * H, OC) / np.sqrt(np.float32(2 * H))), normal(RNG, OC))
    model = load(net.graph(y))
    x = normal(RNG, *x.dims)
    assert model.plan().python_steps == []
    near(model(x), model.reference(x))


def boxes_and_scores(net):
    """The outputs of a detector's three scales: boxes 1 84 4 as centres and sizes, and scores 1 5 84 of five classes."""
    parts = []
    for C, size in ((16, 8), (24, 4), (32, 2)):
        x = net.input(f"p{size}", 1, C, size, size)
        box = conv(net, net("Swish", conv(net, x, 32, 3)), 64, 1)
        label = conv(net, net("Swish", conv(net, x, 32, 3)), 5, 1)
        parts.append(net("Reshape", net("Concat", box, label, axis=1), np.array([1, 69, -1])))
    A = 84
    box, label = net("Split", net("Concat", *parts, axis=2), np.array([64, 5]), axis=1, results=2)
    bins = net("Softmax", net("Transpose", net("Reshape", box, np.array([1, 4, 16, A])), perm=(0, 2, 1, 3)), axis=1)
    steps = np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1)
    distances = net("Reshape", net("Conv", bins, steps), np.array([1, 4, A]))
    grids = [np.stack(np.meshgrid(np.arange(n) + 0.5, np.arange(n) + 0.5)).reshape(2, -1) for n in (8, 4, 2)]
    anchors = np.concatenate(grids, axis=1)[None].astype(np.float32)
    strides = np.repeat(np.float32([8, 16, 32]), [64, 16, 4])
    before = net("Slice", distances, np.array([0]), np.array([2]), np.array([1]))
    behind = net("Slice", distances, np.array([2]), np.array([4]), np.array([1]))
    low, high = net("Sub", anchors, before), net("Add", anchors, behind)
    centre = net("Div", net("Add", low, high), 2.0)
    boxes = net("Mul", net("Concat", centre, net("Sub", high, low), axis=1), strides)
    return net("Transpose", boxes, perm=(0, 2, 1)), net("Sigmoid", label)


def features():
    return {f"p{size}": normal(RNG, 1, C, size, size) for C, size in ((16, 8), (24, 4), (32, 2))}


def test_a_detector_that_ends_in_the_best_scores(load):
    net = Net()
    boxes, scores = boxes_and_scores(net)
    best, where = net("TopK", net("ReduceMax", scores, np.array([1]), keepdims=0), np.array([10]), results=2)
    model, x = load(net.graph(boxes, best, where)), features()
    assert model.plan().python_steps == []
    out, (b, s, i) = model.run(x), model.reference(x).values()
    near(out[boxes.name], b)
    near(out[best.name], s)
    np.testing.assert_array_equal(out[where.name], i, strict=True)


def test_a_detector_that_ends_in_non_maximum_suppression(load):
    net = Net()
    boxes, scores = boxes_and_scores(net)
    chosen = net("NonMaxSuppression", boxes, scores, np.array([20]), 0.5, 0.6, center_point_box=1, name="chosen")
    which = net("Squeeze", net("Gather", chosen, np.array([2]), axis=1), np.array([1]))
    kept = net("Gather", boxes, which, axis=1, name="kept")
    model, x = load(net.graph(chosen, kept)), features()
    assert model.plan().python_steps == []
    out, wanted = model.run(x), model.reference(x)
    assert 5 < len(wanted["chosen"]) < 5 * 20
    np.testing.assert_array_equal(out["chosen"], wanted["chosen"], strict=True)
    near(out["kept"], wanted["kept"])
