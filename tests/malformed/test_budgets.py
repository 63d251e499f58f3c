"""Files of a few hundred bytes that ask for memory or work without end: one error, before memory is touched or a loop begun."""

import json
import signal
import threading

import numpy as np
import pytest

import fastconv
from fastconv import budget
from fastconv.budget import Budget, available_memory
from fastconv.errors import InputError, ModelError
from fastconv.ops import einsum
from fastconv.ops.einsum import Einsum

from ..support.onnx_dicts import info, ints, model, node, tensor, text

LARGE = np.int64(1 << 26)
X = np.zeros((1, 1, 4, 4), np.float32)
MEGABYTE = 1_000_000


def small(nodes, *weights, x=(1, 1, 4, 4), outputs=("y",)):
    """A model of these nodes as JSON, with weights by name."""
    inputs = [info("x", *x)] if x else []
    return text(model(nodes, [tensor(name, w) for name, w in weights], inputs, [{"name": y} for y in outputs]))


def zeros(count):
    """A sum of `count` tensors of 2^26 elements."""
    names = [f"c{i}" for i in range(count)]
    nodes = [node("ConstantOfShape", ["s"], [c]) for c in names]
    return small([*nodes, node("Sum", names, ["y"])], ("s", LARGE.reshape(1)), x=None)


def loop(*body, inputs=("v",), outputs=("w",), results=("y",), **more):
    """A Loop over x with this body, `m` times."""
    names = [{"name": n} for n in ("i", "c", *inputs)]
    graph = {"name": "b", "node": [node("Identity", ["c"], ["d"]), *body], "input": names}
    graph["output"] = [{"name": n} for n in ("d", *outputs)]
    return node("Loop", ["m", "", "x"], list(results), {"name": "body", "type": "GRAPH", "g": graph}, **more)


RANGE = node("Range", ["zero", "s", "one"], ["y"]), ("zero", np.int64(0)), ("s", LARGE), ("one", np.int64(1))
EXPAND = node("Expand", ["x", "s"], ["y"]), ("s", np.int64([1 << 24, 1, 4, 4]))
TILE = node("Tile", ["x", "s"], ["y"]), ("s", np.int64([1 << 24, 1, 1, 1]))
PAD = node("Pad", ["x", "s"], ["y"]), ("s", np.int64([0, 0, 0, 0, 0, 0, 1 << 24, 0]))
RESIZE = node("Resize", ["x", "", "", "s"], ["y"]), ("s", np.int64([1, 1, 16000, 16000]))
STRIDES = node("ConvTranspose", ["x", "w"], ["y"], ints("strides", 1, 10**12)), ("w", np.zeros((1, 1, 3, 3), np.float32))
PADS = (
    node("Conv", ["x", "w"], ["y"], ints("pads", 1 << 33, 0, 1 << 33, 0), ints("strides", 1 << 33, 1)),
    ("w", np.ones((1, 1, 1, 1), np.float32)),
)
SAMPLES = (
    node("RoiAlign", ["x", "r", "i"], ["y"], {"name": "sampling_ratio", "i": str(1 << 40), "type": "INT"}),
    ("r", np.float32([[0, 0, 3, 3]])),
    ("i", np.int64([0])),
)


# ---- bytes


@pytest.mark.parametrize("made", [zeros(10), small(RANGE[:1], *RANGE[1:], x=None)], ids=["T21-ConstantOfShape", "T21-Range"])
def test_constants_are_within_max_bytes_at_load(made):
    with pytest.raises(ModelError, match=r"^node '(c0|y)' \(.*\) at graph.node\[0\]: its result 67108864 takes .*max_bytes="):
        fastconv.load(made, max_bytes=MEGABYTE)


@pytest.mark.parametrize("case", [EXPAND, TILE, PAD, RESIZE, STRIDES], ids=lambda case: f"T21-{case[0]['op_type']}")
def test_results_are_within_max_bytes(case):
    network = fastconv.load(small(case[:1], *case[1:]), max_bytes=MEGABYTE)
    for _ in range(2):
        with pytest.raises(
            InputError, match=r"does not take x 1×1×4×4: node 'y' .*: its result .* bytes, more than max_bytes="
        ):
            network(X)
    with pytest.raises(InputError, match="max_bytes"):
        network.reference(X)
    with pytest.raises(InputError, match="max_bytes"):
        network.summary()


@pytest.mark.parametrize("case", [STRIDES, SAMPLES], ids=["T21-strides", "T21-samples"])
def test_memory_that_no_machine_has(case):
    network = fastconv.load(small(case[:1], *case[1:]))
    with pytest.raises((InputError, ModelError), match=r"more than the .* that are available; load\(..., max_bytes=n\)"):
        network(X)


def test_padding_that_no_machine_has():
    """It is not laid out: of three rows of the result, the middle one reads the image."""
    x = np.arange(16, dtype=np.float32).reshape(X.shape)
    y = fastconv.load(small(PADS[:1], *PADS[1:]))(x)
    assert np.array_equal(y[0, 0], [np.zeros(4), x[0, 0, 0], np.zeros(4)])


def test_the_arena_is_within_max_bytes():
    nodes = [node("Sigmoid", ["x"], ["a"]), *(node("Tanh", ["a"], [f"b{i}"]) for i in range(8))]
    made = small(
        [*nodes, node("Concat", [f"b{i}" for i in range(8)], ["y"], {"name": "axis", "i": "0", "type": "INT"})], x=("N", 64)
    )
    network = fastconv.load(made, max_bytes=MEGABYTE)
    assert network(np.zeros((100, 64), np.float32)).shape == (800, 64)
    with pytest.raises(InputError, match=r"does not take x 480×64: the arena, in which '.*' is the largest tensor, takes"):
        network(np.zeros((480, 64), np.float32))
    assert network(np.zeros((100, 64), np.float32)).shape == (800, 64)


def test_arrays_of_references_are_within_max_bytes():
    expand = node("Expand", ["v", "s"], ["w"])
    made = small(
        [loop(expand, outputs=("v", "w"), results=("y", "z"))], ("m", np.int64(3)), ("s", EXPAND[1][1]), outputs=("y", "z")
    )
    with pytest.raises(ModelError, match=r"^node 'w' \(Expand\).*: its arrays take more than max_bytes="):
        fastconv.load(made, max_bytes=MEGABYTE)(X)
    grows = small([loop(node("Concat", ["v", "v"], ["w"], {"name": "axis", "i": "0", "type": "INT"}))], ("m", np.int64(60)))
    network = fastconv.load(grows, max_bytes=MEGABYTE)
    for run in (network, network.reference):
        with pytest.raises(ModelError, match=r"node 'w' \(Concat\).*max_bytes"):
            run(X)


def test_the_default_is_the_memory_that_is_available(monkeypatch):
    monkeypatch.setattr(budget, "available_memory", lambda: 1 << 30)
    with pytest.raises(
        ModelError, match=r"the arena, .* more than the 1,073,741,824 that are available; load\(\.\.\., max_bytes=n\)"
    ):
        fastconv.load(zeros(200))()
    with pytest.raises(InputError, match=r"its result .* 4,294,967,296 bytes, more than the 1,073,741,824 that are"):
        fastconv.load(small(TILE[:1], ("s", np.int64([1 << 26, 1, 1, 1]))))(X)


def test_memory_that_runs_out_is_a_memory_error():
    with pytest.raises(MemoryError):
        fastconv.load(small([node("Sigmoid", ["x"], ["y"])], x=("N", 4)))(np.broadcast_to(np.float32(0), (1 << 39, 4)))


def test_shapes_of_millions_of_numbers():
    nodes = [RANGE[0] | {"output": ["r"]}, node("Slice", ["x", "r", "r"], ["y"])]
    made = small(nodes, RANGE[1], ("s", np.int64(1 << 20)), RANGE[3])
    with pytest.raises(ModelError, match=r"node 'y' \(Slice\).*starts: expected at most .* numbers, got 1,048,576"):
        fastconv.load(made)


@pytest.mark.parametrize("bad", ["1", 1.5, -1, b""])
def test_max_bytes_is_a_number(bad):
    with pytest.raises(InputError, match="max_bytes: expected an int of 0 or more, got"):
        fastconv.load(fastconv.data.DIGITS, max_bytes=bad)
    assert fastconv.load(fastconv.data.DIGITS, max_bytes=np.int64(MEGABYTE))


# ---- the meter


def test_arrays_are_counted_while_they_live():
    live = []
    with Budget(2000).scope():
        for _ in range(100):
            np.empty(100)
        live.append(np.zeros(100))
        live[0].resize(110, refcheck=False)  # 800 bytes and 880 at once
        assert budget.refusal() is None
        with pytest.raises(MemoryError):
            np.empty(150)
        assert "max_bytes=2000" in budget.refusal()
    assert budget.refusal() is None
    live[0].resize(1000, refcheck=False)
    assert live[0].sum() == 0
    with pytest.raises(ModelError, match="its arrays take more than max_bytes=1000 of load"), Budget(1000).scope():
        np.empty(1000)


def test_other_threads_are_not_metered():
    made = []
    with Budget(0).scope():
        thread = threading.Thread(target=lambda: made.append(np.ones(1000)))
        thread.start()
        thread.join()
    assert made[0].sum() == 1000


def test_scopes_nest():
    with Budget(10_000).scope():
        with pytest.raises(ModelError), Budget(100).scope():
            np.empty(100)
        kept = np.empty(100)
        with pytest.raises(MemoryError), Budget(1 << 30).scope():
            np.empty(10_000)
    assert kept.size == 100


def write(root, **files):
    for path, content in files.items():
        place = root.joinpath(*path.split("__"))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)


def test_available_memory(tmp_path):
    write(tmp_path, proc__meminfo="MemTotal: 900 kB\nMemAvailable:   500 kB\n")
    assert available_memory(tmp_path) == 500 << 10
    group = tmp_path / "sys/fs/cgroup/a/b"
    write(tmp_path, proc__self__cgroup="0::/a/b\n")
    write(group, **{"memory.max": "max\n", "memory.current": "1\n", "memory.stat": "anon 1\ninactive_file 0\n"})
    assert available_memory(tmp_path) == 500 << 10
    write(
        group.parent, **{"memory.max": "300000\n", "memory.current": "250000\n", "memory.stat": "anon 1\ninactive_file 4096\n"}
    )
    assert available_memory(tmp_path) == 54096
    write(group, **{"memory.max": "1000\n", "memory.current": "2000\n"})
    assert available_memory(tmp_path) == 0
    assert available_memory() > 0


# ---- work


def test_folding_leaves_large_work_to_the_run():
    network = fastconv.load(zeros(200))
    assert "ConstantOfShape" in str(network.dump("fold_constants"))
    product = [node("ConstantOfShape", ["s"], ["c"]), node("MatMul", ["c", "c"], ["y"])]
    graph = fastconv.load(small(product, ("s", np.int64([500, 500])), x=None)).dump("fold_constants")
    assert "MatMul" in graph
    assert "ConstantOfShape" not in graph


def test_folding_large_weights_is_no_large_work(monkeypatch):
    monkeypatch.setattr(budget, "MOST_FOLDING", 1000)
    negations = [node("Neg", ["wabcdefghi"[i]], ["abcdefghij"[i]]) for i in range(10)]
    w = np.ones((100, 100), np.float32)
    folded = fastconv.load(small([*negations, node("Add", ["x", "j"], ["y"])], ("w", w), x=(100,))).dump("fold_constants")
    assert folded.count("= Neg") == 10 - budget.FOLDING_PER_WEIGHT


def test_loops_end(monkeypatch):
    monkeypatch.setattr(budget, "MOST_ROUNDS", 100)
    network = fastconv.load(small([loop(node("Neg", ["v"], ["w"]), name="forever")], ("m", np.int64(1 << 62))))
    for _ in range(2):
        with pytest.raises(
            ModelError, match=r"^node 'forever' \(Loop\).*: more than 100 rounds of loops: fastconv\.budget\.MOST_ROUNDS"
        ):
            network(X)
    assert fastconv.load(small([loop(node("Neg", ["v"], ["w"]))], ("m", np.int64(100))))(X).shape == X.shape
    inner = loop(node("Neg", ["v"], ["n"]), outputs=("n",), results=("w",)) | {"input": ["m", "", "v"]}
    nested = small([loop(inner)], ("m", np.int64(20)))
    with pytest.raises(ModelError, match="more than 100 rounds"):
        fastconv.load(nested)(X)


def test_many_phases_are_left_to_the_reference():
    case = node("ConvTranspose", ["x", "w"], ["y"], ints("strides", 1, 10_000)), ("w", np.full((1, 1, 1, 1), 2, np.float32))
    network = fastconv.load(small(case[:1], *case[1:]))
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    assert np.array_equal(network(x)[..., ::10_000], 2 * x)
    (reason,) = [reason for e in network.plan().entries for name, reason in e.refusals if name == "phases"]
    assert reason == "10,000 phases, more than 4,096"


def test_a_duplicate_key_among_many():
    keys = ", ".join(f'"{i}": 1' for i in range(40_000))
    with pytest.raises(ModelError, match="duplicate key '39999'"):
        fastconv.load(f'{{{keys}, "39999": 1}}'.encode())


def test_texts_with_escapes_are_not_searched_for_again_and_again():
    w = np.zeros((1, 1, 128, 128), np.float32)
    names = [f"w{i}" for i in range(100)]
    made = small([node("ReduceMax", [n], [f"{n}y"]) for n in names], *((n, w) for n in names), x=None, outputs=["w0y"])
    escaped = made.replace(b'"raw_data": "A', rb'"raw_data": "\u0041')
    assert json.loads(escaped) == json.loads(made)
    assert fastconv.load(escaped)() == 0


# ---- Ctrl-C


@pytest.mark.parametrize(
    "equation", ["i,j,k->", "ij,jk->ik", "ii->i", "...ij,...jk->...ik", "ij,j->ji", "ij->", "i,i->i", "b...,b...->..."]
)
def test_einsum_in_parts(monkeypatch, equation):
    rng = np.random.default_rng(0)
    terms = equation.partition("->")[0].split(",")
    shape = {"...": (2, 3)}
    xs = []
    for term in terms:
        dims = []
        for part in term.replace("...", ".").replace("", " ").split():
            dims += shape["..."] if part == "." else [5]
        xs.append(rng.integers(-4, 5, dims).astype(np.float32))
    whole = Einsum(equation=equation).reference(*xs)
    assert np.array_equal(whole, np.einsum(equation, *xs))
    monkeypatch.setattr(einsum, "MOST_PRODUCTS", 7)
    assert np.array_equal(Einsum(equation=equation).reference(*xs), whole)


def test_einsum_over_eight_indices_ends_at_ctrl_c():
    equation = {"name": "equation", "type": "STRING", "s": "YSxiLGMsZCxlLGYsZyxoLT4="}  # a,b,c,d,e,f,g,h->
    network = fastconv.load(small([node("Einsum", ["x"] * 8, ["y"], equation)], x=(40,)))
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            network(np.ones(40, np.float32))
    finally:
        signal.signal(signal.SIGALRM, before)
