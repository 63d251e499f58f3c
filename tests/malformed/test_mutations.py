"""Models with anything at all changed: a graph or a ModelError."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastconv.errors import ModelError
from fastconv.graph import Graph
from fastconv.onnx_json import read

from ..support.onnx_dicts import model, node, text, tiny, with_attribute
from .harness import onnx_bytes


def slots(m, path=()):
    """The JSON paths of all parts of a model."""
    if path:
        yield path
    items = m.items() if isinstance(m, dict) else enumerate(m) if isinstance(m, list) else ()
    for key, value in items:
        yield from slots(value, (*path, key))


SLOTS = list(slots(tiny()))
KEYS = sorted(
    {key for path in SLOTS for key in path if isinstance(key, str)} | {"opType", "t", "g", "i", "doc_string", "data_location"}
)
NUMBERS = [0, -1, 1, 2**31, 2**32 + 3, 2**62, 2**63 - 1, 2**63, -(2**63), 10**30, 0.5, 1e300, True, False]
json_values = st.recursive(
    st.none()
    | st.sampled_from([*NUMBERS, *map(str, NUMBERS), *KEYS, "", "x", "y", "w", "NaN", "AAA=", "\ud800"])
    | st.text(max_size=5)
    | st.integers()
    | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
common = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def graph_or_error(source):
    try:
        g = read(source)
    except ModelError as e:
        str(e).encode("utf-8")
    else:
        assert isinstance(g, Graph)
        assert {v.name for v in g.outputs}


@pytest.mark.slow
@common
@given(st.sampled_from(SLOTS), json_values, st.sampled_from(["set", "delete", "twice", "swap"]), st.sampled_from(SLOTS))
def test_one_field_changed(path, value, how, other):
    m = tiny()

    def parent(path):
        at = m
        for key in path[:-1]:
            at = at[key]
        return at

    at, key = parent(path), path[-1]
    if how == "set":
        at[key] = value
    elif how == "delete":
        del at[key]
    elif how == "twice" and isinstance(at, list):
        at.append(at[key])
    elif how == "swap" and path[: len(other)] != other[: len(path)]:
        far = parent(other)
        at[key], far[other[-1]] = far[other[-1]], at[key]
    graph_or_error(m)


@pytest.mark.slow
@common
@given(json_values)
def test_any_json(value):
    graph_or_error({"graph": value, "opset_import": [{"version": "22"}]})
    graph_or_error(model([value]))
    graph_or_error(model([node("Relu", ["x"], ["y"])], [value]))
    graph_or_error(with_attribute(value))


@pytest.mark.slow
@common
@given(st.data())
def test_bytes_changed(data):
    source = bytearray(text(tiny()))
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(0, len(source) - 1))
        source[i : i + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b'"', b"{", b"}", b",", b"-", b"9"])
        )
    graph_or_error(bytes(source))


@pytest.mark.slow
@common
@given(st.data())
def test_wire_bytes_changed(tmp_path, data):
    wire = bytearray(onnx_bytes(tiny()))
    for _ in range(data.draw(st.integers(1, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "m.onnx").write_bytes(wire)
    graph_or_error(tmp_path / "m.onnx")
