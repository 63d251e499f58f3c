"""A user's model under pytest-benchmark: the fixture `fastconv_benchmark`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import fastconv

from ..errors import InputError
from ..graph import shape_text
from ..inputs import known_input_shapes, random_array
from ..kernels import load as load_kernels
from ..model import Model
from ..outputs import Outputs
from ..peak import above_limit
from ..profile import Profile
from .commit import commit


class ModelBenchmark:
    """Times a model under pytest-benchmark, with its share of the machine's peak: what the fixture `fastconv_benchmark` gives.

    Parameters
    ----------
    benchmark : pytest_benchmark.fixture.BenchmarkFixture
        pytest-benchmark's fixture.

    Examples
    --------
    In a test file, run by `pytest`:

    >>> def test_mine(fastconv_benchmark):
    ...     fastconv_benchmark("net.onnx", threads=1)
    """

    def __init__(self, benchmark: Any):
        self._benchmark = benchmark
        #: what was measured, in a line; empty before
        self.line = ""

    def __call__(
        self,
        model: Model | str | os.PathLike[str],
        inputs: np.ndarray | Mapping[str, np.ndarray] | None = None,
        *,
        shapes: Mapping[str, Sequence[int]] | None = None,
        threads: int | None = None,
    ) -> Outputs:
        """Time `model.run(inputs)`, and put GFLOP/s, percent of peak, threads and instruction set into `benchmark.extra_info`.

        Parameters
        ----------
        model : Model, str or os.PathLike
            The model, or its file.
        inputs : numpy.ndarray or mapping of str to numpy.ndarray, optional
            As for `Model.run`; default: random ones.
        shapes : mapping of str to sequence of int, optional
            Shapes of the random inputs, where the model leaves sizes open; an open batch is 1.
        threads : int, optional
            The number of threads, for a file: a Model has its own.

        Returns
        -------
        Outputs
            The results of the last call.

        Raises
        ------
        FastconvError
            If the model cannot be loaded, or an input does not fit.
        """
        if isinstance(model, Model):
            if threads is not None:
                raise InputError("threads: this Model has its own, from load(path, threads=...)")
        else:
            model = fastconv.load(model, threads=threads)
        if inputs is None:
            rng, sizes = np.random.default_rng(0), known_input_shapes(model.inputs, shapes)
            inputs = {t.name: random_array(t, shape, rng) for t, shape in zip(model.inputs, sizes, strict=True)}
        model.run(inputs)  # makes the plan
        outputs: Outputs = self._benchmark(model.run, inputs)
        if self._benchmark.stats is None:  # --benchmark-disable
            return outputs
        info = _info(model.profile(inputs, runs=1), self._benchmark.stats.stats.min)
        self._benchmark.extra_info.update(info, outputs={name: shape_text(np.shape(y)) for name, y in outputs.items()})
        why = f", {info['why']}" if info["why"] else ""
        self.line = (
            f"{self._benchmark.name}: {info['gflops']:.1f} GFLOP/s, {info['percent_of_peak']:.0f} % of peak{why}; "
            f"{info['threads']} thread{'s' if info['threads'] > 1 else ''}, {info['isa']}"
        )
        return outputs


def _info(profile: Profile, seconds: float) -> dict[str, Any]:
    """The figures of a run that takes so long; the profile counts its operations, and has measured the peak just now."""
    flops = sum(r.flops for r in profile.rows)
    gflops = flops / seconds / 1e9
    share = gflops / profile.peak.gflops
    return {
        "isa": load_kernels().isa,
        "threads": profile.threads,
        "flops": flops,
        "gflops": gflops,
        "peak_gflops": profile.peak.gflops,
        "percent_of_peak": 100 * share,
        "why": above_limit(False, any(r.fewer_products for r in profile.rows)) if share > 1 else "",
        "version": fastconv.__version__,
        "commit": commit(),
    }
