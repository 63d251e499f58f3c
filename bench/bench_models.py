"""Whole networks with random weights, batch 1: the time of `model(x)`, from one NumPy array to another."""

import math
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import zoo
from layers import AveragePool, load

import fastconv
from fastconv import onnx_json


@lru_cache(maxsize=1)
def saved(network):
    """The network as a file in a folder that is deleted when the next network is asked for."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / f"{network}.json"
    onnx_json.write(zoo.build(network), path)
    return folder, path


def bench_model(network, isa, threads, measure, naive, monkeypatch):
    monkeypatch.setenv("FASTCONV_ISA", isa)
    model = fastconv.load(saved(network)[1], threads=threads)
    x = np.random.default_rng(0).random(model.inputs[0].shape, np.float32)
    y = model(x)
    assert np.isfinite(y).all()  # and so no time is that of NaNs or infinities
    layers = load(network)
    weights = sum(layer.count * math.prod(shape) for layer in layers for shape in layer.weights)
    # the plain loops of an average pool take no time beside those of the convolutions
    times = [(layer.count, naive(layer)) for layer in layers if not isinstance(layer, AveragePool)]
    info = {
        "layer": network,
        "algorithm": "model",
        "isa": isa,
        "threads": threads,
        "flops": sum(layer.count * layer.flops for layer in layers),
        "bytes": 4 * (weights + x.size + y.size),
        "naive_ms": None if any(ms is None for _, ms in times) else sum(count * ms for count, ms in times),
    }
    measure(lambda: model(x), info)
