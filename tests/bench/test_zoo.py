"""The networks of bench/zoo.py against the layer lists of fastconv/bench/shapes: two descriptions of the same networks."""

from collections import Counter

import numpy as np
import pytest
import zoo

import fastconv
from fastconv import kernels, onnx_json
from fastconv.bench import layers
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.passes import run_passes
from fastconv.plan import Target, build
from fastconv.specialise import specialise


def described(node):
    """A node as a line of fastconv/bench/shapes without count and name; None for what is not listed."""
    kind, op, x = type(node.op).__name__, node.op, node.inputs[0].dims
    if kind == "Conv":
        w = node.inputs[1].dims
        return ("conv", *x, w[0], *w[2:], op.strides[0], op.pads[0], 1, op.group)
    if kind == "ConvTranspose":
        return ("conv_transpose", *x, *node.inputs[1].dims[1:], op.strides[0])
    if kind == "MaxPool":
        return ("max_pool", *x, *op.kernel_shape, op.strides[0], op.pads[0], op.ceil_mode)
    if kind == "GlobalAveragePool":
        return ("average_pool", *x, *x[2:], 1, 0, 0)
    if kind == "Gemm":
        return ("linear", *x, node.outputs[0].dims[1])
    return None


@pytest.mark.parametrize("network", layers.NETWORKS)
def test_the_zoo_has_the_layers_of_bench_shapes(network):
    listed = Counter()
    for line in (layers.SHAPES / f"{network}.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            kind, *columns, count, _ = line.split()
            listed[kind, *map(int, columns)] += int(count)
    built = Counter(filter(None, map(described, zoo.build(network, zoo.empty).nodes)))
    assert built == listed


@pytest.mark.slow
@pytest.mark.parametrize("isa", kernels.available("conv_direct"))
@pytest.mark.parametrize("name, image", [("style", (3, 28, 36)), ("unet3d", (1, 8, 12, 16))])
def test_networks_with_normalizations_run_on_kernels(name, image, isa, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTCONV_ISA", isa)
    onnx_json.write(zoo.build(name, batch=2, image=image), tmp_path / "net.json")
    model = fastconv.load(tmp_path / "net.json", threads=2)
    x = np.random.default_rng(0).standard_normal((2, *image), np.float32)
    y, expected = model(x), model.reference(x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    graph = specialise(run_passes(zoo.build(name, batch=2, image=image)), [x.shape])
    assert not build(graph, Target(IMPLEMENTATIONS, kernels.load(isa), 2), {}).python_steps


def test_the_vit_has_the_published_number_of_parameters():
    """ViT-S has 22.05 million parameters; the square roots that attention divides by are not counted."""
    constants = [v.constant for v in zoo.build("vit", zoo.empty).values() if v.constant is not None]
    assert sum(c.size for c in constants if c.dtype == np.float32 and c.ndim) == 22_050_664


def test_weights_keep_the_size_of_activations():
    w = zoo.he()((256, 64, 3, 3))
    assert w.dtype == np.float32
    assert w.std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.01)
