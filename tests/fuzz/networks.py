"""Random networks in every configuration: right within rounding, and the same bits where they are promised."""

import os
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastconv
from fastconv import kernels, onnx_json
from fastconv.model import ACCURACIES

from ..support.graphs import networks
from ..support.harness import same_bits
from .agree import disagreement
from .check import Finding


def file_of(graph):
    """A graph as the bytes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.json"
        onnx_json.write(graph, path)
        return path.read_bytes()


@settings(max_examples=120, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    networks(),
    st.sampled_from(kernels.available("conv_direct")),
    st.integers(2, 4),
    st.sampled_from(ACCURACIES),
    st.integers(1, 4),
    st.booleans(),
)
def random_networks(case, isa, threads, accuracy, batch, fused):
    graph, shape = case
    data = file_of(graph)
    with mock.patch.dict(os.environ, FASTCONV_ISA=isa):
        many, one = (fastconv.load(data, threads=n, accuracy=accuracy) for n in (threads, 1))
    first = many.inputs[0].shape[0]
    x = (
        np.random.default_rng(0).integers(-8, 9, (batch if isinstance(first, str) else first, *shape[1:])).astype(np.float32)
        / 8
    )
    # a value that is an output is not fused into the node behind it
    names = None if fused else list(dict.fromkeys(r.name for n in many._original.nodes for r in n.results))
    results = many.run(x, names)

    def check(right, problem):
        if not right:
            raise Finding(f"{isa}, {threads} threads, {accuracy}, batch {len(x)}, {fused=}: {problem}", data, ".json")

    problem = disagreement(many, {many.inputs[0].name: x}, results)
    check(problem is None, problem)
    check(all(map(same_bits, results.values(), one.run(x, names).values())), "one thread gives other bits")
    if isinstance(first, str):
        alone = [many.run(image[None], names) for image in x]
        by_image = {o.name for o in many.outputs if o.shape and o.shape[0] == first} & set(results.keys())
        for name in by_image:
            check(
                same_bits(results[name], np.concatenate([r[name] for r in alone])), f"{name!r}: an image alone gives other bits"
            )
