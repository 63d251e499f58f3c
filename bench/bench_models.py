"""Whole networks with random weights, batch 1: the time of `model(x)`, from one NumPy array to another, and of their layers by
the plain loops."""

import math
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import zoo

import fastconv
from fastconv import onnx_json
from fastconv.bench import timing
from fastconv.bench.layers import load


def pytest_generate_tests(metafunc):
    option = metafunc.config.option
    isas = timing.with_own("conv_direct", option.isa)
    for name, values, prefix in (("network", option.network, ""), ("isa", isas, ""), ("threads", option.threads, "t")):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values, ids=[f"{prefix}{v}" for v in values], scope="module")


@lru_cache(maxsize=1)
def saved(network):
    """The network as a file in a folder that is deleted when the next network is asked for."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / f"{network}.json"
    onnx_json.write(zoo.build(network), path)
    return folder, path


def work(network):
    """What a network has to do: the operations of its layers, and the bytes of their weights."""
    layers = load(network)
    weights = sum(layer.count * math.prod(shape) for layer in layers for shape in layer.weights)
    return {"layer": network, "flops": sum(layer.count * layer.flops for layer in layers), "bytes": 4 * weights}


def bench_model(network, isa, threads, measure, monkeypatch):
    monkeypatch.setenv("FASTCONV_ISA", isa)
    model = fastconv.load(saved(network)[1], threads=threads)
    x = np.random.default_rng(0).random(model.inputs[0].shape, np.float32)
    y = model(x)
    assert np.isfinite(y).all()  # and so no time is that of NaNs or infinities
    info = work(network)
    info |= {"algorithm": "model", "isa": isa, "threads": threads, "bytes": info["bytes"] + x.nbytes + y.nbytes}
    fewer = any(r.fewer_products for r in model.profile(x, runs=1).rows)
    measure(lambda: model(x), info | {"fewer_products": fewer})


def bench_naive(network, measure):
    """The layers that fastconv.naive has; the others, such as an average pool, take next to no time beside them."""
    calls = [timing.naive(layer) for layer in load(network, *timing.NAIVE_KINDS) for _ in range(layer.count)]
    measure(lambda: [call() for call in calls], work(network) | {"algorithm": "naive", "isa": "", "threads": 1})
