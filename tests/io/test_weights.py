"""Weights that stay in their file: the object in place of an array, packing in jobs, and the memory that a model holds."""

import _thread
import itertools
import json
import mmap
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import types
from functools import partial
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from google.protobuf import json_format

import fastconv
from fastconv import _pack, external_data, onnx_json
from fastconv._constants import BF16_WEIGHTS, FLOAT16_WEIGHTS, FLOAT32_WEIGHTS
from fastconv.errors import ModelError
from fastconv.external_data import LARGE, MOST_OPEN, DataReader
from fastconv.graph import Graph, Value
from fastconv.implementations import panels
from fastconv.implementations.conv import block_diagonal
from fastconv.onnx_json import writer
from fastconv.plan import binder, packing
from fastconv.plan.packing import Packing, Slabs, ranges
from fastconv.threads import share_out
from fastconv.weights import Scaled, Weights, Widened, key_of

from ..support.graphs import Net, in_type, normal
from ..support.harness import SANITIZED, same_bits
from ..support.rng import generator

RNG = generator(__name__)
ROWS = LARGE // 4 // 32
FLOAT = np.dtype(np.float32)
resident_memory = pytest.mark.skipif(SANITIZED, reason="AddressSanitizer keeps memory that was freed, to watch it")


@pytest.fixture
def reads(monkeypatch):
    """The sizes of all reads, in order."""
    sizes, preadv = [], os.preadv
    monkeypatch.setattr(os, "preadv", lambda *args: sizes.append(preadv(*args)) or sizes[-1])
    return sizes


@pytest.fixture
def pieces(monkeypatch):
    """How many packing jobs each plan has run."""
    counts, original = [], binder.share_out

    def count(jobs, threads):
        counts.append(len(jobs))
        original(jobs, threads)

    monkeypatch.setattr(binder, "share_out", count)
    return counts


def stored(folder, shape=(ROWS, 8, 2, 2), location="w.bin"):
    """(the Weights of a tensor in a file, the tensor)."""
    array = normal(RNG, *shape)
    (folder / location).write_bytes(b"head" + array.astype("<f4").tobytes())
    with DataReader(folder) as reader:
        return reader.stored({"location": location, "offset": "4"}, shape, FLOAT), array


# ---- what stands for an array


def test_stored_weights_are_read_when_and_as_far_as_they_are_asked_for(tmp_path, reads):
    w, array = stored(tmp_path)
    assert (w.shape, w.dtype, w.ndim, w.size, w.nbytes, len(w)) == (array.shape, np.float32, 4, array.size, array.nbytes, ROWS)
    assert repr(w) == f"<Stored {ROWS}×8×2×2>"
    assert not reads
    for part in (slice(3, 5), slice(0, 0), slice(ROWS - 1, None), slice(None, 1), slice(-2, None), slice(5, 3)):
        assert same_bits(w[part], array[part])
    assert reads == [2 * 128, 128, 128, 2 * 128]
    assert same_bits(np.asarray(w), array)
    assert same_bits(w.reshape(8, -1), array.reshape(8, -1))
    assert same_bits(w * np.float32(2), array * np.float32(2))
    assert np.asarray(w, np.float64).dtype == np.float64


@pytest.mark.parametrize("key", [7, slice(0, 8, 2), (slice(None), 1), ...])
def test_rows_of_weights_are_taken_by_a_slice(tmp_path, reads, key):
    w, _ = stored(tmp_path)
    with pytest.raises(TypeError, match="expected a slice of rows"):
        w[key]
    assert not reads


def test_attributes_of_arrays_do_not_load_weights(tmp_path, reads):
    w, _ = stored(tmp_path)
    assert not any(hasattr(w, name) for name in ("astype", "tolist", "sum", "transpose"))
    assert not reads


def test_other_views_stand_for_their_values_too(tmp_path, reads):
    w, array = stored(tmp_path, (ROWS, 32))
    views = [
        (w.T, array.T),
        (w.reshape(ROWS, 4, 8), array.reshape(ROWS, 4, 8)),
        (w.reshape((ROWS, -1, 2)), array.reshape(ROWS, 16, 2)),
        (w.T.reshape(32, ROWS, 1, 1), array.T.reshape(32, ROWS, 1, 1)),
        (w.reshape(ROWS, 4, 8).reshape(ROWS, 32).T, array.T),
    ]
    assert all(isinstance(v, Weights) and v.shape == a.shape for v, a in views)
    assert not reads
    for v, a in views:
        assert same_bits(np.asarray(v), a.copy())
        assert same_bits(v[3:7], a[3:7].copy())
    assert len({key_of(v) for v, _ in views[:4]}) == 4
    assert w.T.key == w.T.key
    assert type(w.reshape(-1)) is np.ndarray
    assert same_bits(w.reshape(4, -1), array.reshape(4, -1))
    with pytest.raises(ValueError, match="reshape"):
        w.reshape(7, 5)


@pytest.mark.parametrize("axis", [0, 1])
def test_scaled_weights_are_the_products_rounded_once(tmp_path, axis):
    w, array = stored(tmp_path)
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    first, second = RNG.standard_normal((2, array.shape[axis]))
    for source in (w, array):
        scaled = Scaled(source, first, axis)
        assert same_bits(np.asarray(scaled), (array * first.reshape(shape)).astype(np.float32))
        assert same_bits(scaled[3:9], np.asarray(scaled)[3:9])
        twice = Scaled(scaled, second, axis)
        assert twice.source is source
        assert same_bits(np.asarray(twice), (array * (second * first).reshape(shape)).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_weights_of_16_bits_are_widened_row_by_row(tmp_path, reads, dtype):
    array = normal(RNG, 2 * ROWS, 8, 2, 2).astype(dtype)
    (tmp_path / "w.bin").write_bytes(array.tobytes())
    with DataReader(tmp_path) as reader:
        w = reader.stored({"location": "w.bin"}, array.shape, array.dtype)
    assert (w.dtype, w.nbytes) == (array.dtype, array.nbytes)
    for source in (w, array):
        wide = Widened(source)
        assert (wide.dtype, wide.shape) == (np.float32, array.shape)
        assert same_bits(wide[3:9], array[3:9].astype(np.float32))
        assert same_bits(np.asarray(wide), array.astype(np.float32))
        assert wide.key == Widened(source).key != key_of(source)
    assert reads == [6 * 64, array.nbytes]
    assert same_bits(np.asarray(Widened(w.reshape(-1, 32).T)), array.astype(np.float32).reshape(-1, 32).T.copy())


def test_equal_weights_have_equal_keys(tmp_path):
    (w, array), factors = stored(tmp_path), np.arange(ROWS)
    assert Scaled(w, factors, 0).key == Scaled(w, factors.copy(), 0).key
    assert key_of(array) == key_of(array[:]) != key_of(array.copy())
    assert key_of(array) != key_of(array[1:])
    assert key_of(None) is None
    others = [w, array, Scaled(w, factors, 0), Scaled(array, factors, 0), Scaled(w, factors + 1, 0), Scaled(w, np.ones(8), 1)]
    for a, b in itertools.combinations(others, 2):
        assert key_of(a) != key_of(b)


# ---- files


def test_small_tensors_are_read_at_once(tmp_path):
    (tmp_path / "w.bin").write_bytes(bytes(LARGE))
    with DataReader(tmp_path) as reader:
        assert reader.stored({"location": "w.bin"}, (LARGE // 4 - 1,), FLOAT) is None
        assert reader.stored({"location": "w.bin"}, (LARGE // 4,), FLOAT) is not None


@pytest.mark.parametrize("entries", [{"offset": "1"}, {"length": "100"}, {"location": "absent"}, {"checksum": "0" * 40}])
def test_where_they_are_is_checked_at_once(tmp_path, entries):
    (tmp_path / "w.bin").write_bytes(bytes(LARGE))
    with DataReader(tmp_path) as reader, pytest.raises(ModelError, match="external data"):
        reader.stored({"location": "w.bin"} | entries, (LARGE // 4,), FLOAT)


def test_a_file_is_open_as_long_as_its_weights_live(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    w, array = stored(tmp_path)
    scaled = Scaled(w, np.ones(ROWS), 0)
    del w
    assert len(os.listdir("/proc/self/fd")) == before + 1
    (tmp_path / "w.bin").unlink()
    assert same_bits(np.asarray(scaled), array), "its name is not needed"
    (tmp_path / "w.bin").write_bytes(bytes(array.nbytes + 4))
    assert same_bits(np.asarray(scaled), array), "nor what has its name now"
    del scaled
    assert len(os.listdir("/proc/self/fd")) == before


def test_few_files_are_kept_open(tmp_path):
    """Models may keep each tensor in a file of its own."""
    before, found = len(os.listdir("/proc/self/fd")), []
    with DataReader(tmp_path) as reader:
        for i in range(3 * MOST_OPEN):
            (tmp_path / f"{i}.bin").write_bytes(bytes(LARGE))
            found.append(reader.stored({"location": f"{i}.bin"}, (LARGE // 4,), FLOAT))
        again = reader.stored({"location": "0.bin"}, (LARGE // 4,), FLOAT)
    assert again.key == found[0].key
    assert [w is not None for w in found] == [True] * MOST_OPEN + [False] * 2 * MOST_OPEN
    assert len(os.listdir("/proc/self/fd")) == before + MOST_OPEN


@pytest.mark.parametrize("change", ["rewritten", "cut short", "grown"])
def test_a_file_that_was_written_to_is_an_error(tmp_path, change):
    w, array = stored(tmp_path)
    before = os.stat(tmp_path / "w.bin")
    with open(tmp_path / "w.bin", "r+b") as file:
        file.truncate({"rewritten": array.nbytes + 4, "cut short": 100, "grown": array.nbytes + 100}[change])
        file.write(b"other")
    os.utime(tmp_path / "w.bin", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(ModelError, match=r"external data 'w\.bin' (was written to since the model was loaded|shrank)"):
        np.asarray(w)


# ---- weights inside the model


FORMS = ["path", "text", "dict", "no padding", "url-safe", "escaped", "onnx"]


def inside(graph, folder, monkeypatch, form):
    """The source of a model that has its weights inside."""
    monkeypatch.setattr(writer, "INSIDE", 1 << 40)
    path = folder / "inside.json"
    onnx_json.write(graph, path)
    text = path.read_text()
    if form == "no padding":
        text = text.replace('="', '"').replace('="', '"')
    if form == "url-safe":
        text = re.sub('"raw_data": "[^"]*', lambda found: found[0].replace("+", "-").replace("/", "_"), text)
    if form == "escaped":
        text = text.replace("/", "\\/")
    if form == "onnx":
        path = folder / "inside.onnx"
        path.write_bytes(json_format.Parse(text, onnx.ModelProto()).SerializeToString())
    else:
        path.write_text(text)
    return {"text": text.encode(), "dict": json.loads(text)}.get(form, path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.int8, np.uint8])
def test_large_weights_inside_a_model_are_read_again_from_it(tmp_path, monkeypatch, reads, form, dtype):
    arrays = [(127 * RNG.random((ROWS + i, 8, 23))).astype(dtype) for i in range(3)] + [normal(RNG, 5).astype(dtype)]
    graph = Graph([], [Value(f"y{i}", constant=a) for i, a in enumerate(arrays)], [])
    source = inside(graph, tmp_path, monkeypatch, form)
    before = len(os.listdir("/proc/self/fd"))
    values = [v.constant for v in onnx_json.read(source).outputs]
    kept = form in ("dict", "escaped")
    assert [isinstance(v, Weights) for v in values] == [not kept] * 3 + [False]
    assert len(os.listdir("/proc/self/fd")) == before + (form not in ("dict", "escaped", "text"))
    assert not reads
    for v, a in zip(values, arrays, strict=True):
        assert same_bits(np.asarray(v), a)
        for i in range(len(a)):
            assert same_bits(v[i : i + 2], a[i : i + 2])
    assert len({key_of(v) for v in values}) == 4
    del values, v
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("form", ["path", "onnx"])
def test_a_model_file_that_was_written_to_is_an_error(tmp_path, monkeypatch, form):
    a = normal(RNG, ROWS, 40)
    source = inside(Graph([], [Value("y", constant=a)], []), tmp_path, monkeypatch, form)
    [y] = onnx_json.read(source).outputs
    source.write_bytes(source.read_bytes() + b" ")
    with pytest.raises(ModelError, match=r"inside\.(json|onnx)' was written to since"):
        np.asarray(y.constant)


# ---- packing


def in_tile_order(w, scale, block, V):
    """The layout of pyx/pack.pyx in NumPy: OC IC KH KW as [panel][ic block][KH][KW][ic of the block][lane]."""
    OC, IC, KH, KW = w.shape
    w = (w * scale.reshape(-1, 1, 1, 1)).astype(np.float32)
    OCB = -(-OC // V)
    w = np.concatenate([w, np.zeros((OCB * V - OC, IC, KH, KW), np.float32)])
    out, begin = [], 0
    while begin < OCB:
        width = OCB - begin if OCB - begin <= 3 else 2
        for ic in range(0, IC, block):
            part = w[begin * V : (begin + width) * V, ic : ic + block]
            out += [part[:, c, kh, kw] for kh in range(KH) for kw in range(KW) for c in range(part.shape[1])]
        begin += width
    return np.concatenate(out)


@pytest.mark.parametrize("V", [4, 8, 16])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (1, 3), (5, 2)])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 2, 3), (3, 2, 1, 0)])
def test_pack(V, kernel, order):
    """Every number of panels and every tail, blocks of V and of one channel, from any arrangement in memory."""
    for OC, IC, planar in itertools.product((*range(1, 2 * V, V // 2 + 1), 4 * V + 1, 5 * V), (1, V - 1, V, 2 * V + 1), (0, 1)):
        shape = (OC, IC, *kernel)
        w = normal(RNG, *(shape[i] for i in order)).transpose(np.argsort(order))
        scale, block = RNG.standard_normal(OC), 1 if planar else V
        expected = in_tile_order(w, scale, block, V)
        guarded = np.full(expected.size + 32, np.nan, np.float32)
        _pack.pack(w, scale, IC, 0, block, V, guarded[16:-16].view(np.uint8), FLOAT32_WEIGHTS)
        assert same_bits(guarded[16:-16], expected)
        assert np.isnan(guarded[:16]).all()
        assert np.isnan(guarded[-16:]).all()
        for stored, dtype in ((BF16_WEIGHTS, ml_dtypes.bfloat16), (FLOAT16_WEIGHTS, np.float16)):
            half = np.full(expected.size + 32, 0x7FFF, np.uint16)
            _pack.pack(w, scale, IC, 0, block, V, half[16:-16].view(np.uint8), stored)
            assert same_bits(half[16:-16].view(dtype), expected.astype(dtype))
            assert (half[[*range(16), *range(-16, 0)]] == 0x7FFF).all()


def test_pack_takes_no_arrays_that_are_too_short():
    w, scale = np.ones((8, 4, 3, 3), np.float32), np.ones(8)
    for stored, itemsize in ((FLOAT32_WEIGHTS, 4), (BF16_WEIGHTS, 2), (FLOAT16_WEIGHTS, 2)):
        dst = np.empty(8 * 4 * 9 * itemsize, np.uint8)
        _pack.pack(w, scale, 4, 0, 8, 8, dst, stored)
        for wrong in ((w, scale[:7], 4, 0, 8, 8, dst), (w, scale, 4, 0, 8, 8, dst[:-1]), (w, scale, 4, 1, 8, 8, dst)):
            with pytest.raises(ValueError, match="too short"):
                _pack.pack(*wrong, stored)


def filled(made):
    dst = np.full(made.size, np.nan, np.float32)
    for job in made.jobs:
        job(dst)
    return dst


@pytest.mark.parametrize("small", [1, 2000, 1 << 30])
def test_pieces_make_up_the_whole(monkeypatch, small):
    """Jobs cover all weights, whatever their size, and each weight is read by exactly one."""
    monkeypatch.setattr(packing, "JOB_BYTES", small)
    for OC, IC, groups, merge in ((40, 9, 1, 1), (8, 8, 1, 1), (3, 1, 1, 1), (48, 5, 2, 1), (24, 2, 4, 2), (56, 4, 1, 1)):
        w = normal(RNG, OC, IC, 3, 3)
        made = panels.pack_weights(w, groups, merge, 8, 8)
        G, size = groups // merge, OC * merge // groups
        parts = [block_diagonal(w[g * size : (g + 1) * size], merge) for g in range(G)]
        assert same_bits(filled(made), np.concatenate([in_tile_order(p, np.ones(size), 8, 8) for p in parts]))
        by_input = panels.pack_panels(lambda a, b, w=w: w[:, a:b], np.ones(OC), (1, OC, IC, 3, 3), 8, 8, by_input=True)
        assert same_bits(filled(by_input), in_tile_order(w, np.ones(OC), 8, 8))


def test_ranges():
    for count, step, least in itertools.product(range(1, 40), (1, 8, 16), (1, 9)):
        found = ranges(count, step, packing.JOB_BYTES // 20, least)
        assert [i for a, b in found for i in range(a, b)] == list(range(count))
        assert all(a % step == 0 for a, _ in found)
        assert all(b - a >= least for a, b in found[1:])


@pytest.mark.slow
def test_slabs_hold_arrays_one_behind_the_other():
    slabs, arrays = Slabs(), []
    sizes = [1, 100, 5000, 70_000, 3, 0, 10_000_000, 16, *range(90_000, 900_000, 50_000)]
    for i, size in enumerate(sizes):
        arrays.append(slabs.take(size))
        arrays[-1][...] = i
    assert [a.size for a in arrays] == sizes
    for i, a in enumerate(arrays):
        assert not a.size or a.ctypes.data % 64 == 0
        assert (a == i).all(), "no two overlap"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process's memory in a file")
def test_large_arrays_take_no_more_than_their_size():
    """Huge pages must not waste half a page at the end of each array."""

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    slabs, size, before = Slabs(), 5 * packing.HUGE_PAGE // 2, resident()
    arrays = [slabs.take(size // 4) for _ in range(8)]
    for a in arrays:
        a[...] = 1
    assert 8 * size <= resident() - before < 8 * size + packing.HUGE_PAGE


def test_share_out_does_each_job_once():
    for count, jobs in itertools.product((1, 2, 5), (0, 1, 30)):
        done = []
        share_out([partial(done.append, i) for i in range(jobs)], count)
        assert sorted(done) == list(range(jobs))


def test_share_out_stops_at_an_error():
    done, both, before = [], threading.Barrier(2), _thread._count()

    def first():
        """Each thread does one job: the helper fails and ends before the caller takes its next one."""
        if threading.current_thread() is threading.main_thread():
            both.wait()
            while _thread._count() > before:
                time.sleep(0.001)
        else:
            both.wait()
            raise ModelError("one of them")

    with pytest.raises(ModelError, match="one of them"):
        share_out([first, first, *[lambda: done.append(1)] * 100], 2)
    assert not done


@pytest.mark.slow
def test_share_out_waits_for_its_threads_when_it_is_interrupted():
    """The memory that jobs fill is freed only after all of them have stopped."""
    began, ended = threading.Event(), threading.Event()

    class Interrupted(BaseException):
        pass

    def interrupt(number, frame):
        raise Interrupted

    def job():
        if threading.current_thread() is threading.main_thread():
            began.wait()
        else:
            began.set()
            time.sleep(0.5)
            ended.set()

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupted):
            share_out([job, job], 2)
        assert ended.is_set()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_share_out_does_with_the_threads_there_are(monkeypatch):
    def start(function, args):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", start)
    done = []
    share_out([partial(done.append, i) for i in range(9)], 4)
    assert sorted(done) == list(range(9))


# ---- models


@pytest.fixture
def save(tmp_path):
    """save(graph) writes a graph with its weights in a file beside it, and returns the path."""

    def save(graph):
        onnx_json.write(graph, tmp_path / "net.json")
        assert (tmp_path / "net.json.data").exists()
        return tmp_path / "net.json"

    return save


def network():
    """A network with every kind of packed weights: over 1 MB, most of it folded with the nodes that follow."""
    net = Net()

    def norm(x):
        return net("BatchNormalization", x, *(np.abs(normal(RNG, 4, x.shape[1])) + 0.5))

    x = net.input("x", "N", 64, "H", "W")
    y = net("Relu", norm(net("Conv", x, normal(RNG, 128, 64, 3, 3) / 24, pads=(1,) * 4)))
    y = net("Relu", norm(net("Conv", y, normal(RNG, 128, 128, 1, 1) / 11)))
    y = net("Relu", norm(net("Conv", y, normal(RNG, 128, 128, 3, 3) / 34, pads=(1,) * 4, strides=(2, 2))))
    y = net("Relu", norm(net("ConvTranspose", y, normal(RNG, 128, 40, 2, 2) / 11, strides=(2, 2))))
    y = net("Flatten", net("GlobalAveragePool", y))
    y = net("Gemm", y, normal(RNG, 500, 40), normal(RNG, 500), transB=1)
    return net.graph(net("MatMul", y, normal(RNG, 500, 700) / 22))


SHAPE = (1, 64, 12, 12)


def test_weights_are_read_and_packed_once(save, reads, pieces):
    path = save(network())
    model = fastconv.load(path, threads=2)
    size = path.with_suffix(".json.data").stat().st_size
    assert sum(reads) < size / 20, "only small tensors are read before they are needed"
    y = model(normal(RNG, *SHAPE))
    more = 3 * 128 * 40 * 4 * 4  # each of the transposed convolution's four phases reads all of its weights
    assert size - 64 * 100 < sum(reads) - more <= size
    assert len(pieces) == 1
    assert pieces[0] > 6
    del reads[:]
    for shape in (SHAPE, (2, 64, 12, 12), (1, 64, 9, 13), (3, 64, 20, 12)):
        assert model(normal(RNG, *shape)).shape == (shape[0], *y.shape[1:])
    model.run(normal(RNG, *SHAPE), outputs=[model.outputs[0].name])
    assert not reads
    assert pieces[1:] == [0, 0, 0, 0], "a new shape packs nothing again, and neither do other outputs"


@pytest.mark.slow
def test_weights_of_a_product_of_the_channels_are_packed_once(save, reads, pieces):
    """A MatMul with constant weights becomes a convolution once the shape is known."""
    net = Net()
    x = net.input("x", "N", 64, "H", "W")
    y = net("Transpose", net("Relu", net("Conv", x, normal(RNG, 64, 64, 3, 3) / 24, pads=(1,) * 4)), perm=(0, 2, 3, 1))
    y = net("MatMul", net("Relu", net("MatMul", y, normal(RNG, 64, 2000) / 8)), normal(RNG, 2000, 64) / 44)
    path = save(net.graph(net("Transpose", y, perm=(0, 3, 1, 2))))
    model = fastconv.load(path, threads=2)
    x = normal(RNG, *SHAPE)
    y = model(x)
    assert len(re.findall(r" Conv\S* pointwise:", str(model.plan({"x": SHAPE})))) == 2
    size = path.with_suffix(".json.data").stat().st_size
    assert size - 1000 < sum(reads) <= size
    assert same_bits(model(np.concatenate([x, x]))[1:], y)
    assert pieces[1:] == [0]
    np.testing.assert_allclose(y, model.reference(x), rtol=0, atol=1e-4 * np.abs(y).max())


@pytest.mark.parametrize("accuracy", ["default", "exact"])
def test_packing_does_not_depend_on_threads_nor_on_where_weights_are(save, monkeypatch, accuracy):
    graph = network()
    path, x = save(graph), normal(RNG, *SHAPE)
    expected = fastconv.load(path, threads=1, accuracy=accuracy)(x)
    for threads in (2, 3):
        assert same_bits(fastconv.load(path, threads=threads, accuracy=accuracy)(x), expected)
    monkeypatch.setattr(packing, "JOB_BYTES", 1000)
    assert same_bits(fastconv.load(path, threads=3, accuracy=accuracy)(x), expected)
    monkeypatch.setattr(external_data, "LARGE", 1 << 62)
    assert same_bits(fastconv.load(path, threads=2, accuracy=accuracy)(x), expected)


def test_a_node_without_a_kernel_reads_its_weights_once(save, reads):
    net = Net()
    x = net.input("x", 20, 64, 256)
    rests = net("Mod", normal(RNG, 20, 64, 256), x, fmod=1), net("Mod", x, normal(RNG, 64, 256), fmod=1)
    model = fastconv.load(save(net.graph(rests[0], net("Neg", rests[1]))))
    x = {"x": normal(RNG, 20, 64, 256)}
    first = model.run(x)
    assert len(model.plan().python_steps) == 2
    del reads[:]
    again = model.run(x)
    assert not reads
    assert all(same_bits(first[k], again[k]) for k in first.keys())  # noqa: SIM118


def test_a_file_written_to_before_the_first_call_is_an_error_each_time(save):
    path = save(network())
    x = normal(RNG, *SHAPE)
    y = fastconv.load(path)(x)
    ready, late = fastconv.load(path), fastconv.load(path)
    assert same_bits(ready(x), y)
    data = path.with_suffix(".json.data")
    good = data.read_bytes()
    data.write_bytes(good[:-100])
    for _ in range(2):
        with pytest.raises(ModelError, match=r"net\.json\.data"):
            late(x)
    assert same_bits(ready(x), y), "what is packed is packed"
    assert ready(np.concatenate([x, x])).shape == (2, y.shape[1])


def test_after_an_error_in_packing_nothing_half_packed_is_found(save, monkeypatch):
    path, x = save(network()), normal(RNG, *SHAPE)
    expected, model = fastconv.load(path)(x), fastconv.load(path)
    rows, calls = external_data.Stored.rows, []

    def fail_late(self, begin, end):
        calls.append(begin)
        if len(calls) > 4:
            raise OSError("device lost")
        return rows(self, begin, end)

    monkeypatch.setattr(external_data.Stored, "rows", fail_late)
    try:
        model(x)
    except OSError as e:
        kept = e  # and with it the frames that hold what was made
    monkeypatch.undo()
    assert "device lost" in str(kept)
    assert same_bits(model(x), expected)


def test_other_shapes_are_answered_while_one_is_planned(save, monkeypatch):
    path, x = save(network()), normal(RNG, *SHAPE)
    model = fastconv.load(path)
    y = model(x)
    begun, go_on, original = threading.Event(), threading.Event(), binder.share_out

    def wait(jobs, count):
        begun.set()
        assert go_on.wait(60)
        original(jobs, count)

    monkeypatch.setattr(binder, "share_out", wait)
    planner = threading.Thread(target=model, args=(np.concatenate([x, x]),))
    planner.start()
    try:
        assert begun.wait(60)
        assert same_bits(model(x), y)
    finally:
        go_on.set()
        planner.join()


def test_a_saved_model_has_the_weights(save, tmp_path):
    path, x = save(network()), normal(RNG, *SHAPE)
    model = fastconv.load(path)
    y = model(x)
    for target in (tmp_path / "other.json", path):
        model.save(target)
        assert same_bits(fastconv.load(target)(x), y)
    assert same_bits(model(np.concatenate([x, x]))[1:], y), "its own file was replaced, not written to"


def quantized():
    """5 MB of weights, most of them int8."""
    net = Net()
    scales = np.array(0.1, np.float32), np.array(128, np.uint8)
    y = net.input("x", 1, 512, 7, 7)
    for _ in range(2):
        w = net("DequantizeLinear", RNG.integers(-127, 128, (512, 512, 3, 3), np.int8), np.float32(0.001))
        y = net("Conv", net("DequantizeLinear", net("QuantizeLinear", y, *scales), *scales), w, pads=(1,) * 4)
    return net.graph(net("DequantizeLinear", net("QuantizeLinear", y, *scales), *scales))


@pytest.fixture(scope="module")
def heavy():
    """40 MB of weights, most of them folded."""
    net = Net()
    y = net.input("x", 1, 512, 7, 7)
    for _ in range(2):
        y = net("BatchNormalization", net("Conv", y, normal(RNG, 512, 512, 3, 3) / 70, pads=(1,) * 4), *np.ones((4, 512), "f"))
    return net.graph(net("Gemm", net("Flatten", y), normal(RNG, 25088, 210) / 160))


@pytest.mark.slow
@resident_memory
def test_memory_holds_weights_once(save, heavy):
    """A process needs little more memory than the library and the packed weights, at its peak and afterwards."""
    path = save(heavy)
    size = path.with_suffix(".json.data").stat().st_size
    code = """
import sys
import numpy as np
import fastconv
def resident():
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    return [int(lines[k].split()[0]) * 1024 for k in ("VmRSS", "VmHWM")]
fastconv.load(fastconv.data.DIGITS)(np.zeros((1, 1, 8, 8), "f"))
before, _ = resident()
model = fastconv.load(sys.argv[1], accuracy="exact", threads=2)
model(np.ones((1, 512, 7, 7), "f"))
print(*(r - before for r in resident()))
"""
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    after, peak = map(int, run.stdout.split())
    assert size < after <= peak < 1.25 * size


@pytest.mark.slow
@pytest.mark.parametrize("form", ["path", "onnx"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_memory_holds_no_weights_of_a_file_but_the_packed(tmp_path, monkeypatch, heavy, form, dtype):
    """Packed weights are in memory that tracemalloc does not count."""
    graph = quantized() if dtype == np.int8 else in_type(heavy, dtype)
    source = inside(graph, tmp_path, monkeypatch, form)
    tracemalloc.start()
    try:
        model = fastconv.load(source, accuracy="exact" if dtype != np.int8 else "default", threads=2)
        model(np.ones((1, 512, 7, 7), graph.inputs[0].dtype))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1_500_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@resident_memory
def test_memory_of_arrays_that_are_no_more_goes_back():
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    pieces = [np.ones(25_000, np.float32) for _ in range(400)]  # from the heap, not mapped each
    del pieces[:-1]  # the last one is above the others
    before = resident()
    _pack.trim()
    assert before - resident() > 20_000_000


def test_packing_gives_back_what_it_read(save, monkeypatch):
    trims = []
    monkeypatch.setattr(binder, "_pack", types.SimpleNamespace(trim=lambda: trims.append(1)))
    model = fastconv.load(save(network()))
    for batch in (1, 2):
        model(normal(RNG, batch, *SHAPE[1:]))
    assert trims == [1], "once: the second shape packs nothing"


def test_packing_names_its_size():
    made = panels.pack_weights(np.ones((8, 4, 3, 3), np.float32), 1, 1, 8, 8)
    assert isinstance(made, Packing)
    assert made.size == 8 * 4 * 9
