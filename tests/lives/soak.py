"""Runs without an end, of shapes that change: what the process has more after each.

A round calls two models with more shapes than they keep plans for, in every way that a call has, wrong ones among them. As all
rounds are alike, each must leave the process as the one before left it: the same memory, objects and reference counts.
"""

import ctypes
import gc
import os
import resource
import sys
import tempfile
from dataclasses import astuple, dataclass, fields
from itertools import product
from pathlib import Path

import numpy as np

import fastconv
from fastconv import onnx_json
from fastconv.plan_cache import MOST_PLANS
from fastconv.threads import RUNNING

from ..support.graphs import Net, normal

SHAPES = [(n, 3, side, side + 2) for n, side in product((1, 2, 5), (6, 7, 9, 12, 16, 40))]
#: rounds after which caches, NumPy's and the allocator's among them, are as full as they get
WARM_UP = 2


def classifier(rng):
    """Convolutions with a residual, a pool, and a linear layer: all in kernels."""
    net = Net()
    x = net("Relu", net("Conv", net.input("x", "N", 3, "H", "W"), normal(rng, 8, 3, 3, 3), pads=(1,) * 4))
    y = net("Relu", net("Add", net("Conv", x, normal(rng, 8, 8, 3, 3), normal(rng, 8), pads=(1,) * 4), x), name="maps")
    pooled = net("Flatten", net("GlobalAveragePool", net("MaxPool", y, kernel_shape=(2, 2), strides=(2, 2))))
    return net.graph(net("Softmax", net("Gemm", pooled, normal(rng, 8, 10)), name="y"))


def detector(rng):
    """Elements above 1, and twice their values: their number changes, and stages and references run."""
    net = Net()
    y = net("Conv", net.input("x", "N", 3, "H", "W"), normal(rng, 2, 3, 1, 1), name="maps")
    places = net("NonZero", net("Greater", y, 1.0))
    return net.graph(net("Mul", net("GatherND", y, net("Transpose", places, perm=(1, 0))), 2.0, name="y"), y)


def load(threads=None):
    """The two models."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.json")
        models = []
        for graph in (classifier(rng), detector(rng)):
            onnx_json.write(graph, path)
            models.append(fastconv.load(path.read_bytes(), threads=threads))
    return models


@dataclass
class Sample:
    """What a process has, counted with no garbage left."""

    resident: int  # bytes
    allocated: int  # bytes that malloc has given and not got back; all of Python's too if PYTHONMALLOC is malloc
    objects: int  # of which Python's collector knows
    references: int  # to the models' nodes and values, to arrays, and to types that all runs use
    threads: int
    files: int

    @classmethod
    def take(cls, watched):
        gc.collect()
        references = sum(map(sys.getrefcount, watched))
        objects = len(gc.get_objects())
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        counts = (len(os.listdir(f"/proc/self/{what}")) for what in ("task", "fd"))
        return cls(resident, malloc_bytes(), objects, references, *counts)


class _Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks")]
    _fields_ += [(name, ctypes.c_size_t) for name in ("uordblks", "fordblks", "keepcost")]


def malloc_bytes():
    """The bytes that malloc has given and not got back; 0 if it does not say (glibc does from 2.33 on)."""
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return 0
    mallinfo2.restype = _Mallinfo2
    info = mallinfo2()
    return info.uordblks + info.hblkhd


class Soak:
    """Rounds of runs, with a sample after each. `each` is called before every run."""

    def __init__(self):
        self.each = lambda: None
        self.models = load()
        rng = np.random.default_rng(1)
        self.inputs = [normal(rng, *shape) for shape in SHAPES]
        self.expected = [[model(x) for x in self.inputs] for model in self.models]
        nodes = [node for model in self.models for node in model._original.nodes]
        self.watched = [*self.models, *nodes, *(v for node in nodes for v in (*node.operands, *node.results)), *self.inputs]
        self.watched += [np.ndarray, np.dtype(np.float32), np.dtype(np.int64), fastconv.Model, np.float32]
        self.runs = 0
        self.samples = []

    def round(self):
        """All runs of a round, and a sample."""
        for model, expected in zip(self.models, self.expected, strict=True):
            for x, y in zip(self.inputs, expected, strict=True):
                self._calls(model, x, y)
        for model in self.models:
            assert len(model._plans) <= MOST_PLANS
            assert len(model._plans.arenas.free) <= model.threads
        assert not RUNNING
        self.samples.append((self.runs, Sample.take(self.watched)))

    def _calls(self, model, x, y):
        several = isinstance(y, fastconv.Outputs)
        out = {"y": np.empty_like(y["y"])} if several else np.empty_like(y)
        answers = [
            self._run(model, x),
            self._run(model, x[:, ::-1].copy()[:, ::-1]),
            self._run(model, x, out=out),
            self._run(model.run, {"x": x}, outputs=["y", "maps"]),
        ]
        for answer in answers:
            first = answer["y"] if isinstance(answer, fastconv.Outputs) else answer
            assert first.tobytes() == (y["y"] if several else y).tobytes()
        for wrong in (x[:, :2], x.astype(np.float64), x[0]):
            try:
                self._run(model, wrong)
            except fastconv.InputError:
                continue
            raise AssertionError("taken")

    def _run(self, call, *given, **options):
        self.each()
        self.runs += 1
        return call(*given, **options)

    def slopes(self, since=WARM_UP):
        """What the process has more after each run: a line of least squares through the samples from one on."""
        samples = self.samples[since:]
        runs = np.array([run for run, _ in samples], np.float64)
        values = np.array([astuple(sample) for _, sample in samples], np.float64)
        return dict(zip((f.name for f in fields(Sample)), np.polyfit(runs - runs.mean(), values, 1)[0].tolist(), strict=True))
