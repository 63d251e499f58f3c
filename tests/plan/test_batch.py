"""Batches whose images run one after the other, through all layers or the first ones."""

import numpy as np
import pytest

import fastconv
from fastconv import onnx_json
from fastconv.plan import SplitPlan, cost

from ..passes.test_fuse_quantized import activation, conv
from ..support.graphs import Net, in_type, normal
from ..support.harness import check_tenants
from ..support.rng import generator

RNG = generator(__name__)
N, SHAPE = 5, (5, 8, 12, 10)


@pytest.fixture(autouse=True)
def small_caches(monkeypatch):
    monkeypatch.setattr(cost, "CACHES", ((30_000, 1.0),))


@pytest.fixture
def load(tmp_path):
    def load(*outputs, net, **options):
        onnx_json.write(net.graph(*outputs), tmp_path / "net.json")
        return fastconv.load(tmp_path / "net.json", **options)

    return load


def backbone(net, x):
    """Every kind of layer that computes images independently."""
    y = net("Relu", net("Conv", x, normal(RNG, 16, 8, 3, 3), normal(RNG, 16), pads=(1,) * 4))
    z = net("Clip", net("Conv", y, normal(RNG, 16, 1, 3, 3), group=16, pads=(1,) * 4), np.float32(0), np.float32(6))
    y = net("Concat", net("Add", y, z), net("Mul", z, normal(RNG, 16, 1, 1)), axis=1)
    y = net("MaxPool", net("Softmax", y, axis=1), kernel_shape=(2, 2), strides=(2, 2))
    y = net("ConvTranspose", y, normal(RNG, 32, 8, 2, 2), strides=(2, 2))
    y = net("Resize", y, None, np.array([1, 1, 2, 2], np.float32), mode="nearest")
    y = net("AveragePool", net("Sigmoid", y), kernel_shape=(3, 3), pads=(1,) * 4)
    y = net("MatMul", net("Transpose", y, perm=(0, 2, 3, 1)), normal(RNG, 8, 6))
    return net("Reshape", y, np.array([0, -1, 12]))


def head(net, x):
    y = net("Flatten", net("GlobalAveragePool", net("Conv", x, normal(RNG, 8, 8, 1, 1))), axis=1)
    return net("Gemm", y, normal(RNG, 8, 5), normal(RNG, 5))


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_images_have_the_bits_they_have_alone_and_together(threads, monkeypatch, load):
    net = Net()
    x = net.input("x", "N", *SHAPE[1:])
    outputs = backbone(net, x), head(net, x)
    one_by_one = load(*outputs, net=net, threads=threads)
    plan = one_by_one.plan({"x": SHAPE})
    assert plan.images == N
    assert f"for each of {N} images" in str(plan)
    monkeypatch.setattr(cost, "CACHES", ())
    together = load(*outputs, net=net, threads=threads)
    assert together.plan({"x": SHAPE}).images == 1
    assert plan.arena_size < together.plan({"x": SHAPE}).arena_size / 2
    x = normal(RNG, *SHAPE)
    alone = zip(*(one_by_one(x[i : i + 1]) for i in range(N)), strict=True)
    for y, z, parts in zip(one_by_one(x), together(x), alone, strict=True):
        np.testing.assert_array_equal(y, z)
        np.testing.assert_array_equal(y, np.concatenate(parts))


def test_images_of_quantized_layers_are_independent(monkeypatch, load):
    """A scale for each output channel, along axis 0 of the weights, is the same for every image."""
    monkeypatch.setattr(cost, "CACHES", ((5_000, 1.0),))
    net = Net()
    y = activation(net, "N", *SHAPE[1:])
    for _ in range(3):
        y = conv(net, y)
    assert load(y, net=net).plan({"x": SHAPE}).images == N


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("last", ["conv", "concat", "reference", "row-major"])
def test_a_plan_changes_over_where_weights_outgrow_the_maps(threads, last, monkeypatch, load):
    """The tensor between the plans is blocked, with the second one's halo, or row-major; bits are those of one plan."""
    net = Net()
    y = net.input("x", "N", *SHAPE[1:])
    for _ in range(3):  # maps that leave the caches in a batch, then weights that do
        y = net("Relu", net("Conv", y, normal(RNG, 8, 8, 3, 3), pads=(1,) * 4))
    if last == "row-major":
        y = net("Flatten", net("MaxPool", y, kernel_shape=(12, 10)), axis=1)
        y = net("Gemm", net("Tanh", net("Gemm", y, normal(RNG, 8, 99))), normal(RNG, 99, 99))
    else:
        y = net("MaxPool", y, kernel_shape=(3, 3), strides=(3, 3))
        if last == "concat":  # what crosses cannot lie in it
            y = net("Concat", y, net("Relu", y), axis=1)
        y = net("Softmax", y, axis=0) if last == "reference" else y
        y = net("Conv", y, normal(RNG, 99, 16 if last == "concat" else 8, 5, 5), pads=(2, 2, 2, 2))
    x = normal(RNG, *SHAPE)
    model = load(y, net=net, threads=threads)
    plan = model.plan({"x": SHAPE})
    assert isinstance(plan, SplitPlan)
    assert (plan.head.images, plan.tail.images) == (N, 1)
    assert str(plan) == f"{plan.head}\n{plan.tail}"
    check_tenants(plan)
    monkeypatch.setattr(cost, "CACHES", ())
    together = load(y, net=net, threads=threads)
    assert not isinstance(together.plan({"x": SHAPE}), SplitPlan)
    np.testing.assert_array_equal(model(x), together(x))
    np.testing.assert_array_equal(model(x), together(x), "once more, in memory that a run has used")
    assert [r.output for r in model.profile(x, runs=1).rows if r.op != "reorder"] == [
        r.output for r in together.profile(x, runs=1).rows if r.op != "reorder"
    ]


def test_images_of_floats_of_16_bits_go_one_by_one_too(tmp_path):
    net = Net()
    y = backbone(net, net.input("x", *SHAPE))
    onnx_json.write(in_type(net.graph(y), np.float16), tmp_path / "half.json")
    assert fastconv.load(tmp_path / "half.json").plan().images == N


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bytes_may_cross_the_boundary(threads, monkeypatch, load):
    """An odd number of time steps for each image."""
    monkeypatch.setattr(cost, "CACHES", ((12_000, 1.0),))
    net = Net()
    y = net("Conv", net.input("x", "N", *SHAPE[1:]), normal(RNG, 7, 8, 2, 2))
    y = net("Transpose", net("Cast", net("Abs", y), to=2), perm=(1, 0, 2, 3))
    x = normal(RNG, *SHAPE)
    model = load(y, net=net, threads=threads)
    plan = model.plan({"x": SHAPE})
    assert isinstance(plan, SplitPlan)
    assert plan.tail.graph.inputs[0].dtype == np.uint8
    monkeypatch.setattr(cost, "CACHES", ())
    np.testing.assert_array_equal(model(x), load(y, net=net, threads=threads)(x))


def test_tables_show_the_whole_batch(monkeypatch, load):
    net = Net()
    y = backbone(net, net.input("x", *SHAPE))
    model = load(y, net=net, threads=1)
    summary, profile = model.summary(), model.profile(normal(RNG, *SHAPE), runs=2)
    assert [r.output for r in profile.rows] == [x.output for x in summary.layers]
    assert sum(r.flops for r in profile.rows) == summary.flops
    monkeypatch.setattr(cost, "CACHES", ())
    together = load(y, net=net, threads=1).summary()
    assert [(x.name, x.input, x.output, x.flops) for x in summary.layers] == [
        (x.name, x.input, x.output, x.flops) for x in together.layers
    ]


@pytest.mark.parametrize(
    "depends",
    [
        lambda net, x: net("Softmax", x, axis=0),
        lambda net, x: net("Add", x, normal(RNG, *SHAPE)),
        lambda net, x: net("Transpose", x, perm=(1, 0, 2, 3)),
        lambda net, x: net("Reshape", net("Reshape", x, np.array([1, -1])), np.array(SHAPE)),
        lambda net, x: net("Concat", x, x, axis=0),
        lambda net, x: net("Mul", x, net("ReduceMean", x, np.array([0]))),
        lambda net, x: net("ReduceMax", x),
        lambda net, x: net("Cos", x),  # no kernel
    ],
)
def test_other_batches_go_together(depends, load):
    net = Net()
    x = net("Conv", net.input("x", *SHAPE), normal(RNG, SHAPE[1], SHAPE[1], 1, 1))
    model = load(depends(net, x), net=net, threads=1)
    plan = model.plan()
    assert (plan.tail if isinstance(plan, SplitPlan) else plan).images == 1
    x = normal(RNG, *SHAPE)
    expected = model.reference(x)
    np.testing.assert_allclose(model(x), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("bias, together", [((2,), False), ((64, 2), True)])
def test_rows_with_a_bias_each_go_together(bias, together, monkeypatch, load):
    monkeypatch.setattr(cost, "CACHES", ((1000, 1.0),))
    net = Net()
    y = net.input("x", 64, 4)
    for _ in range(40):  # more to write than weights to read
        y = net("Tanh", y)
    y = net("Gemm", y, normal(RNG, 4, 2), normal(RNG, *bias))
    plan = load(y, net=net).plan()
    assert (plan.tail.images == 1) if together else (plan.images == 64)


def test_weights_that_are_more_than_the_tensors_are_read_once(load):
    net = Net()
    y = net("Gemm", net.input("x", 64, 32), normal(RNG, 32, 32))
    assert load(y, net=net).plan().images == 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_outputs_that_lie_in_other_tensors_are_filled(threads, load):
    net = Net()
    x = net.input("x", *SHAPE)
    y = net("Relu", net("Conv", x, normal(RNG, 8, 8, 3, 3), pads=(1,) * 4))
    z = net("Concat", y, x, axis=1)
    rows = net("Flatten", z, axis=1)
    model = load(y, z, rows, net("Identity", rows), net=net, threads=threads)
    assert model.plan().images == N
    x = normal(RNG, *SHAPE)
    filled = {v.name: np.full(v.shape, np.nan, np.float32) for v in model.outputs}
    model(x, out=filled)
    for y, expected in zip(filled.values(), model.reference(x), strict=True):
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
