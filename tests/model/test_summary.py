"""Summary: its counts, its text, and the sizes they are for."""

import json
import re
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pytest
import zoo

import fastconv
from fastconv import onnx_json
from fastconv.ops.base import REGISTRY

from ..support.graphs import Net, normal
from ..support.rng import generator

RNG = generator(__name__)


@pytest.fixture
def summary(tmp_path):
    """The Summary of a graph's file."""

    def summary(graph, shapes=None):
        onnx_json.write(graph, tmp_path / "net.json")
        return fastconv.load(tmp_path / "net.json").summary(shapes)

    return summary


def by_name(summary):
    return {x.name: x for x in summary.layers}


def table(summary):
    """The rows of the table by name, {column: text} each, without copies."""
    _, header, _, *rows, _ = str(summary).splitlines()
    names = header.split()
    starts = [header.index(name) for name in names]
    left = names.index("params")  # those before it are flush left: an empty one begins with a space
    cells = [[row[at:].split("  ")[0] if row[at] != " " else "" for at in starts[:left]] for row in rows]
    return {c[0]: dict(zip(names, c, strict=False)) for c in cells if "copy" not in c}


# ---- parameters


def test_the_bounds_of_a_clip_are_no_parameters(summary):
    """The first layer of AlexNet, with ReLU6."""
    net = Net()
    y = net("Conv", net.input("x", 1, 3, 227, 227), normal(RNG, 96, 3, 11, 11), normal(RNG, 96), strides=(4, 4))
    s = summary(net.graph(net("Clip", y, 0.0, 6.0)))
    assert [x.params for x in s.layers if x.op == "Conv+Clip"] == [34_944]
    assert s.params == 34_944
    assert s.weight_bytes == 4 * 34_944


@pytest.mark.parametrize("network, parameters", [("mobilenetv2", 3_487_816), ("resnet50", 25_530_472)])
def test_parameters_of_networks(summary, network, parameters):
    """Torch's numbers, but BatchNormalization is folded: a bias for each channel is left."""
    ones = partial(np.ones, dtype=np.float32)  # a bias of zeros would be dropped
    assert summary(zoo.build(network, ones)).params == parameters


C = normal(RNG, 4)
MAP, ROWS = ("N", 4, 6, 6), ("N", 5, 4)


@pytest.mark.parametrize(
    "op, shape, constants, attributes, expected",
    [
        ("Conv", MAP, [normal(RNG, 8, 2, 3, 3), normal(RNG, 8)], {"group": 2}, 8 * 2 * 9 + 8),
        ("ConvTranspose", MAP, [normal(RNG, 4, 3, 2, 2)], {}, 4 * 3 * 4),
        ("Gemm", ("N", 4), [normal(RNG, 4, 3), normal(RNG, 3)], {}, 4 * 3 + 3),
        ("MatMul", ROWS, [normal(RNG, 4, 3)], {}, 4 * 3),
        ("BatchNormalization", ("N", 4), [C, C, C, np.abs(C)], {}, 8),  # statistics are none
        ("InstanceNormalization", MAP, [C, C], {}, 8),
        ("GroupNormalization", MAP, [C, C], {"num_groups": 2}, 8),
        ("LayerNormalization", ROWS, [C, C], {}, 8),
        ("RMSNormalization", ROWS, [C], {}, 4),
        ("PRelu", MAP, [normal(RNG, 4, 1, 1)], {}, 4),
        ("LSTM", ("N", 1, 4), [normal(RNG, 1, 8, 4), normal(RNG, 1, 8, 2), normal(RNG, 1, 16)], {"hidden_size": 2}, 64),
        ("Add", ROWS, [C], {}, 4),  # a bias
        ("Mul", MAP, [normal(RNG, 4, 1, 1)], {}, 4),  # a scale
        ("Add", ROWS, [normal(RNG, 1, 5, 4)], {}, 0),  # anchors
        ("Mul", ROWS, [normal(RNG, 1, 4)], {}, 0),
        ("Mul", ROWS, [normal(RNG, 1)], {}, 0),
        ("Sub", ROWS, [C], {}, 0),
        ("Mul", MAP, [np.float32(3)], {}, 0),  # which is computed as a convolution
        ("Clip", MAP, [np.float32(0), np.float32(6)], {}, 0),
        ("Resize", MAP, [None, np.float32([1, 1, 2, 2])], {}, 0),
        ("Slice", MAP, [np.int64([0]), np.int64([2]), np.int64([1])], {}, 0),
        ("Gather", MAP, [np.int64([0, 2])], {"axis": 1}, 0),
        ("Pad", MAP, [np.int64([0, 0, 1, 1, 0, 0, 1, 1])], {}, 0),
    ],
)  # fmt: skip
def test_parameters_of_an_operator(summary, op, shape, constants, attributes, expected):
    net = Net()
    y = net(op, net("Sin", net.input("x", *shape)), *constants, **attributes)
    assert summary(net.graph(net("Neg", y)), {"x": [2 if d == "N" else d for d in shape]}).params == expected


def test_inputs_that_are_learned_exist():
    for op in REGISTRY.values():
        assert op.arity[1] is None or all(i < op.arity[1] for i in op.parameter_inputs), op


def test_a_table_that_is_looked_up_is_a_parameter(summary):
    net = Net()
    words = net.input("words", 5, dtype=np.int64)
    assert summary(net.graph(net("Gather", normal(RNG, 7, 3), words))).params == 21


def test_weights_that_layers_share_count_once_in_the_total(summary):
    net = Net()
    x, w = net.input("x", 1, 4, 6, 6), net.input("w", 4, 4, 3, 3)
    net.inputs.remove(w)
    w.constant = normal(RNG, 4, 4, 3, 3)
    s = summary(net.graph(net("Conv", net("Sigmoid", net("Conv", x, w, pads=(1,) * 4)), w, pads=(1,) * 4)))
    assert sum(x.params for x in s.layers) == 2 * 144
    assert s.params == 144
    s.explain = True
    assert "parameters: Conv 288 − shared 144 = 144" in str(s).splitlines()


# ---- operations


def test_multiply_adds(summary):
    net = Net()
    x = net.input("x", 1, 4, 6, 6)
    y = net("Relu", net("Conv", x, normal(RNG, 8, 2, 3, 3), group=2, name="conv"))
    y = net("ConvTranspose", y, normal(RNG, 8, 4, 2, 2), strides=(2, 2), name="up")
    y = net("Flatten", net("MaxPool", y, kernel_shape=(2, 2), name="pool"), name="flat")
    y = net("Gemm", net("MatMul", y, normal(RNG, y.shape[1], 5), name="product"), normal(RNG, 5, 3), name="fc")
    y = net("Reshape", y, np.int64([3, 1, 1]))
    y, *_ = net("LSTM", y, normal(RNG, 1, 8, 1), normal(RNG, 1, 8, 2), hidden_size=2, results=3, name="lstm")
    s = summary(net.graph(y))
    assert {x.name: x.multiply_adds for x in s.layers if x.multiply_adds} == {
        "conv": (8 * 4 * 4) * 2 * 9,
        "up": (8 * 4 * 4) * 4 * 4,
        "product": 196 * 5,
        "fc": 5 * 3,
        "lstm": 3 * (8 + 16),
    }
    assert s.multiply_adds == sum(x.multiply_adds for x in s.layers)
    assert all(x.flops == 2 * x.multiply_adds for x in s.layers if x.multiply_adds)
    assert {x.name: x.flops for x in s.layers if not x.multiply_adds and x.flops} == {"pool": 4 * 7 * 7 * 4}


def test_multiply_adds_of_integers(summary):
    net = Net()
    x = net.input("x", 1, 2, 5, 5, dtype=np.uint8)
    scale, zero, weights = np.array(0.5, np.float32), np.array(3, np.uint8), RNG.integers(0, 9, (4, 2, 3, 3)).astype(np.uint8)
    y = net("QLinearConv", x, scale, zero, weights, scale, zero, scale, zero, name="qlinear")
    s = summary(net.graph(net("ConvInteger", y, RNG.integers(0, 9, (1, 4, 3, 3)).astype(np.uint8), name="integer")))
    assert {x.name: (x.params, x.multiply_adds) for x in s.layers if x.multiply_adds} == {
        "qlinear": (72, 9 * 4 * 18),
        "integer": (36, 36),
    }
    assert s.weight_bytes == 72 + 36, "bytes"


# ---- the table


def test_windows_are_columns(summary):
    net = Net()
    x = net.input("x", 1, 4, 9, 9)
    a = net("Conv", x, normal(RNG, 4, 1, 3, 3), group=4, pads=(1,) * 4, strides=(2, 1), name="depthwise")
    b = net("Conv", x, normal(RNG, 2, 4, 3, 5), auto_pad="SAME_UPPER", strides=(2, 2), name="same")
    c = net("Conv", x, normal(RNG, 2, 4, 3, 3), dilations=(2, 2), pads=(0, 1, 0, 2), name="dilated")
    d = net("MaxPool", x, kernel_shape=(3, 3), strides=(3, 3), name="pool")
    e = net(
        "ConvTranspose", x, normal(RNG, 4, 2, 3, 3), pads=(1,) * 4, strides=(2, 2), output_padding=(1, 1), name="up"
    )  # fmt: skip
    f = net("AveragePool", x, kernel_shape=(2, 2), pads=(0, 0, 1, 1), name="uneven")
    rows = table(summary(net.graph(a, b, c, d, e, f, net("Neg", x, name="neg"))))
    columns = ("kernel", "stride", "pad", "dilation", "group")
    assert {name: tuple(row[c] for c in columns) for name, row in rows.items() if row["by"] != "copy"} == {
        "depthwise": ("3×3", "2×1", "1", "", "4"),
        "same": ("3×5", "2", "1×2", "", ""),
        "dilated": ("3×3", "1", "0,1,0,2", "2", ""),
        "pool": ("3×3", "3", "0", "", ""),
        "up": ("3×3", "2", "1", "", ""),
        "uneven": ("2×2", "1", "0+1", "", ""),
        "neg": ("", "", "", "", ""),
    }


def test_columns_that_say_nothing_are_left_out(summary):
    net = Net()
    s = summary(net.graph(net("Neg", net.input("x", 2, 3))))
    assert str(s).splitlines()[1].split() == ["layer", "operator", "by", "output", "params", "kMAC", "output", "kB"]


@pytest.mark.slow
@pytest.mark.parametrize("network", ["resnet50", "mobilenetv2"])
def test_it_fits_a_terminal(summary, network):
    s = summary(zoo.build(network, zoo.empty))
    s.explain = True
    assert max(map(len, str(s).splitlines())) <= 120


def test_names_give_way_to_the_other_columns(summary):
    net = Net()
    x = net.input("x", 1, 8, 100, 100)
    y = net("Conv", x, normal(RNG, 64, 1, 3, 3), group=8, dilations=(2, 1), pads=(1, 2, 3, 4), name="n" * 40)
    lines = str(summary(net.graph(net("HardSigmoid", y)))).splitlines()
    assert max(map(len, lines)) == 120
    assert any(line.startswith("…" + "n" * 11) for line in lines)


def test_the_arithmetic_is_below_each_layer():
    model = fastconv.load(fastconv.data.DIGITS)
    s = model.summary(explain=True)
    head, header, rule, *lines = str(s).splitlines()
    assert [head, header, rule] == str(model.summary()).splitlines()[:3]
    for x in s.layers:
        assert lines.pop(0).startswith(x.name)
        notes = [lines.pop(0) for _ in x.explanation]
        assert [re.sub(": +", ": ", note) for note in notes] == [f"    {line}" for line in x.explanation]
        assert all(re.match(" {4}.{24} [0-9(]", note) for note in notes), "equations begin in one column"
    assert lines == [
        "parameters: Conv 5,056 + Gemm 8,906 = 13,962",
        "multiply-adds: Conv 99,328 + Gemm 8,832 = 108,160",
        str(model.summary()).splitlines()[-1],
    ]
    tree = ElementTree.fromstring(f"<div>{s._repr_html_().replace('<br>', chr(10))}</div>")
    notes = [row[0].text.splitlines() for row in tree.iter("tr") if len(row) == 1]
    assert notes == [list(x.explanation) for x in s.layers if x.explanation]
    assert [body[0][0].text for body in tree.iter("tbody")] == [x.name for x in s.layers], "a group for each layer"


# ---- sizes


def square(*shape):
    net = Net()
    y = net("Conv", net.input("x", *shape), normal(RNG, 8, 3, 3, 3), pads=(1,) * 4, name="conv")
    return net.graph(net("Reshape", net("Relu", y), np.int64([0, 0, -1]), name="rows"))


@pytest.mark.parametrize(
    "shape, given, first",
    [
        ((1, 3, 4, 5), None, "x 1×3×4×5"),
        (("N", 3, 4, 5), None, "x N×3×4×5 as 1×3×4×5"),
        ((None, 3, 4, 5), None, "x ?×3×4×5 as 1×3×4×5"),
        (("N", 3, "H", "W"), (2, 3, 4, 5), "x N×3×H×W as 2×3×4×5"),
        (("N", 3, "H", "W"), None, "x N×3×H×W"),
        ((None, 3, None, None), None, "x ?×3×?×?"),
    ],
)
def test_the_first_line_says_which_sizes_it_is_for(summary, shape, given, first):
    assert str(summary(square(*shape), given and {"x": given})).splitlines()[0] == first


def test_open_sizes_stay_symbols(summary):
    s = summary(square("N", 3, "H", "W"))
    conv, _ = s.layers
    assert (conv.op, conv.input, conv.output) == ("Conv+Relu", ("N", 3, "H", "W"), ("N", 8, "H", "W"))
    assert (conv.implementation, conv.params, conv.multiply_adds, conv.flops) == ("", 216, None, None)
    assert (s.isa, s.arena) == (None, None)
    rows = table(s)
    assert (rows["conv"]["output"], rows["conv"]["kernel"], rows["rows"]["output"]) == ("N×8×H×W", "3×3", "N×8×?")
    assert str(s).endswith("2 layers, 216 parameters (864 B), not planned: give the open sizes (--shape, or shapes= in Python)")
    with pytest.raises(fastconv.InputError, match="input 'x': expected N×3×H×W, got 1×4×8×8"):
        summary(square("N", 3, "H", "W"), {"x": (1, 4, 8, 8)})


def test_what_runs_after_the_plan_is_part_of_it(summary):
    net = Net()
    x = net.input("x", 1, 3, 4, 4)
    places = net("NonZero", net("Relu", net("Conv", x, normal(RNG, 2, 3, 3, 3), name="conv")), name="places")
    s = summary(net.graph(net("Cast", places, to=1, name="late")))
    by = {x.name: x.implementation for x in s.layers}
    assert (by["places"], by["late"]) == ("reference", "")
    *_, total, last = str(s).splitlines()
    assert total.endswith(", 2 layers not counted: their sizes are known only as the network runs")
    assert last == "* 1 of 3 layers by reference (a size that depends on elements)"


def test_as_a_dict(summary):
    s = summary(square("N", 3, 4, 5))
    d = json.loads(json.dumps(s.as_dict()))
    assert d["inputs"] == [{"name": "x", "declared": ["N", 3, 4, 5], "shape": [1, 3, 4, 5]}]
    assert (d["parameters"], d["parameter_bytes"], d["multiply_adds"]) == (216, 864, 216 * 20)
    assert (d["flops"], d["isa"], d["arena_bytes"], d["activation_bytes"]) == (s.flops, s.isa, s.arena, 2 * 4 * 8 * 20)
    (conv,) = (x for x in d["layers"] if x["name"] == "conv")
    implementation = by_name(s)["conv"].implementation
    assert conv == {
        "name": "conv", "operator": "Conv+Relu", "by": implementation, "reason": None, "in_floats": None, "input": [1, 3, 4, 5],
        "output": [1, 8, 4, 5], "kernel": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1], "group": 1,
        "parameters": 216, "multiply_adds": 216 * 20, "flops": 2 * 216 * 20, "activation_bytes": 4 * 8 * 20,
        "explanation": list(by_name(s)["conv"].explanation),
    }  # fmt: skip
