"""Graphs that no order of nodes can run, and graphs inside graphs."""

import pytest

from fastconv.errors import ModelError, UnsupportedError
from fastconv.onnx_json import read

from ..support.onnx_dicts import info, ints, model, node, tensor, text
from .harness import named, refused, sources


def relu(a, b, **more):
    return node("Relu", [a], [b], **more)


ONE = tensor("y", [1])
CYCLE = [relu("x", "a"), node("Add", ["a", "c"], ["b"]), relu("b", "c"), relu("c", "y")]
RING = [relu(f"v{i}", f"v{(i + 1) % 200}") for i in range(200)]
GRAPHS = {
    "T19-result-twice": (
        model([relu("x", "y")] * 2),
        r"node\[1\]\.output\[0\]: 'y' is defined twice, first by graph\.node\[0\]\.output\[0\]",
    ),
    "T19-result-twice-of-a-node": (
        model([node("Dropout", ["x"], ["y", "y"])]),
        r"node\[0\]\.output\[1\]: 'y' is defined twice",
    ),
    "T19-result-is-an-input": (
        model([relu("x", "x"), relu("x", "y")]),
        r"'x' is defined twice, first by graph\.input\[0\]",
    ),
    "T19-result-is-an-initializer": (
        model([relu("x", "y")], [ONE]),
        r"'y' is defined twice, first by graph\.initializer\[0\]",
    ),
    "T19-initializer-twice": (model([relu("x", "y")], [ONE | {"name": "w"}] * 2), r"initializer\[1\]: 'w' is defined twice"),
    "T19-input-twice": (model([relu("x", "y")], inputs=[info("x", 1)] * 2), r"graph\.input\[1\]: 'x' is defined twice"),
    "T19-output-twice": (model([relu("x", "y")], outputs=[info("y", 1)] * 2), r"graph\.output: a value is listed twice"),
    "T19-nobody-s-value": (
        model([relu("nobody", "y")]),
        r"node 'y' \(Relu\) at graph\.node\[0\]: it reads 'nobody', which nothing defines",
    ),
    "T19-nobody-s-output": (model([relu("x", "z")]), r"graph\.output: nothing defines 'y'"),
    "T19-loop-to-itself": (model([relu("y", "y")]), r"node 'y' .*: it reads its own result 'y'"),
    "T19-cycle": (model(CYCLE), r"\(Add\) at graph\.node\[1\].*cycle"),
    "T19-cycle-of-200": (model([*RING, relu("x", "y")]), r"graph\.node\[\d+\].*cycle"),
    "T19-no-outputs": (model([relu("x", "y")], outputs=[]), "graph: the graph has no outputs"),
    "T19-input-without-type": (model([relu("x", "y")], inputs=[{"name": "x"}]), r"graph\.input\[0\]: 'type' is missing"),
    "T19-input-of-33-dimensions": (model([relu("x", "y")], inputs=[info("x", *[1] * 33)]), "more than 32 dimensions"),
    "T19-input-of-type-0": (model([relu("x", "y")], inputs=[info("x", 1, elem_type=0)]), "unknown data type 0"),
    "T19-too-few-inputs": (
        model([node("Relu", [], ["y"])]),
        r"node 'y' \(Relu\) at graph\.node\[0\]: has 0 inputs, expected 1",
    ),
    "T19-too-many-inputs": (model([node("Relu", ["x", "x"], ["y"])]), "has 2 inputs"),
    "T19-input-left-out": (model([node("Relu", [""], ["y"])]), "has 0 inputs"),
    "T19-first-input-left-out": (model([node("Add", ["", "x"], ["y"])]), "a required input is left out"),
    "T19-10000-inputs": (model([node("Relu", ["x"] * 10_000, ["y"])]), "has 10000 inputs"),
    "T19-no-result": (model([node("Relu", ["x"], [])]), "has 0 outputs"),
    "T19-constant-without-value": (model([node("Constant", [], ["y"])]), r"\(Constant\).*exactly one"),
    "T19-constant-with-an-input": (model([node("Constant", ["x"], ["y"], ints("value_ints", 1))]), "has 1 inputs"),
    "T19-without-an-operator": (model([{"input": ["x"], "output": ["y"]}]), "'op_type' is missing"),
    "T19-inputs-are-a-text": (model([node("Relu", "x", ["y"])]), r"graph\.node\[0\]\.input: expected a list"),
    "T19-input-is-a-number": (model([node("Relu", [5], ["y"])]), r"graph\.node\[0\]\.input\[0\]: expected a string"),
    "T19-node-is-a-text": (model(["Relu"]), r"graph\.node\[0\]: expected an object"),
    "T23-size-of-2-to-the-63": (
        model([relu("x", "y")], inputs=[info("x", 1 << 63)]),
        r"input\[0\]\.type\.tensor_type\.shape\.dim\[0\]\.dim_value",
    ),
}


@pytest.mark.parametrize("m, match", named(GRAPHS))
def test_structure(m, match):
    refused(m, match)


EMPTY = {
    "T24-no-graph": ({}, "graph"),
    "T24-graph-is-a-list": ({"graph": []}, "graph: "),
    "T24-empty-graph": ({"graph": {}}, "graph: the graph has no outputs"),
    "T24-opsets-are-an-object": ({"opset_import": {}}, "opset_import: expected"),
    "T24-unknown-key": ({"graf": {}}, "the model: unknown key 'graf'"),
    "T24-both-spellings": ({"opset_import": [], "opsetImport": []}, "'opset_import' appears in both spellings"),
}


@pytest.mark.parametrize("m, match", named(EMPTY))
def test_models_of_nothing(m, match):
    refused(text(m), match)


SEQUENCE = {"name": "x", "type": {"sequence_type": {"elem_type": {}}}}


@pytest.mark.parametrize(
    "x, match",
    named(
        {
            "T19-sequence-of-nothing": (SEQUENCE, r"graph\.input\[0\]\.type\.sequence_type\.elem_type: only tensors and"),
            "T19-input-of-complex-numbers": (info("x", 1, elem_type=14), "COMPLEX64 is not supported"),
        }
    ),
)
def test_inputs_of_other_types(x, match):
    refused(model([relu("x", "y")], inputs=[x]), match, UnsupportedError)


@pytest.mark.slow
@pytest.mark.parametrize("n", named({"T19-chain-of-5000": 5_000}))
def test_a_long_chain_needs_no_recursion(n):
    m = model([relu("x" if i == 0 else f"v{i}", "y" if i == n - 1 else f"v{i + 1}") for i in reversed(range(n))])
    for source in sources(m):
        assert len(read(source).nodes) == n
    m["graph"]["node"][-1]["input"] = ["v9"]
    refused(m, "cycle")


def nested(depth, leaf="{}"):
    branch = '{"node": [{"op_type": "If", "output": ["y"], "attribute": [{"name": "then_branch", "type": "GRAPH", "g": '
    return (branch * depth + leaf + "}]}]}" * depth).encode()


@pytest.mark.parametrize("depth", named({f"T20-{n}-graphs": n for n in (1, 50, 200, 5_000, 100_000)}))
def test_nested_subgraphs(depth):
    """Nesting too deep for the reader or for Python's json is a ModelError."""
    refused(
        b'{"opset_import": [{"version": "22"}], "graph": %s}' % nested(depth),
        "more than 16 graphs one inside|nested too deeply|no outputs",
    )


def doubling(depth):
    """If in If, two branches each: 2^depth graphs in a text of depth lines, were it not for the limit."""
    graph = {"node": [relu("x", "y")], "output": [{"name": "y"}]}
    for _ in range(depth):
        attributes = [{"name": name, "g": graph, "type": "GRAPH"} for name in ("then_branch", "else_branch")]
        graph = {"node": [node("If", ["c"], ["y"], *attributes)], "output": [{"name": "y"}]}
    return model(graph["node"], [{"name": "c", "dims": [], "data_type": 9, "int32_data": [1]}])


@pytest.mark.parametrize("depth", named({"T20-two-branches-17-deep": 17, "T20-two-branches-40-deep": 40}))
def test_one_dict_many_times(depth):
    """A dict may contain one graph many times; the first path that is too deep ends it."""
    with pytest.raises(ModelError, match="more than 16 graphs one inside the other"):
        read(doubling(depth))


@pytest.mark.parametrize("key", ["graph", "doc_string", "metadata_props", "training_info", "configuration"])
@pytest.mark.parametrize("open_, close", named({"T20-lists": ("[", "]"), "T20-objects": ('{"graph":', "}")}))
def test_nesting_anywhere(key, open_, close):
    for depth in (900, 20_000):
        deep = open_ * depth + "1" + close * depth
        refused(f'{{"{key}": {deep}}}'.encode(), "nested too deeply|is missing|expected|unknown key")


@pytest.mark.parametrize("m", named({"T20-dict-in-itself": {"graph": {"node": []}}}))
def test_a_dict_in_itself(m):
    m["graph"]["node"].append(node("If", ["c"], ["y"], {"name": "then_branch", "g": m["graph"], "type": "GRAPH"}))
    m |= {"opset_import": [{"version": "22"}]}
    with pytest.raises(ModelError, match="more than 16 graphs one inside the other"):
        read(m)


@pytest.mark.parametrize("depth", named({f"T20-types-{n}-deep": n for n in (10, 300)}))
def test_nested_types(depth):
    kind = {"tensor_type": {"elem_type": 1}}
    for _ in range(depth):
        kind = {"sequence_type": {"elem_type": kind}}
    refused(text(model([relu("x", "y")], inputs=[{"name": "x", "type": kind}])), r"graph\.input\[0\]\.type|nested too deeply")
