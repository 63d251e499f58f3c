"""Models as the dicts that ONNX's JSON parses to, for tests to modify."""

import base64
import copy
import json

import numpy as np


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else np.asarray(data).tobytes()).decode()


def tensor(name, array):
    array = np.asarray(array)
    code = {"float32": 1, "int64": 7, "int32": 6, "bool": 9}[array.dtype.name]
    return {"dims": [str(d) for d in array.shape], "data_type": code, "name": name, "raw_data": b64(array)}


def info(name, *dims, elem_type=1):
    kinds = {int: "dim_value", str: "dim_param"}
    shape = {"dim": [{} if d is None else {kinds[type(d)]: str(d)} for d in dims]}
    return {"name": name, "type": {"tensor_type": {"elem_type": elem_type, "shape": shape}}}


def ints(name, *values):
    return {"name": name, "ints": [str(v) for v in values], "type": "INTS"}


def node(op_type, inputs, outputs, *attributes, **more):
    return {"op_type": op_type, "input": inputs, "output": outputs, "attribute": list(attributes), **more}


def model(nodes, initializer=(), inputs=None, outputs=None, opset=22, **graph):
    """A model that reads "x" (N 3 8 8) and gives "y", unless arguments say otherwise."""
    return {
        "ir_version": "10",
        "graph": {
            "node": list(nodes),
            "name": "g",
            "initializer": list(initializer),
            "input": [info("x", "N", 3, 8, 8)] if inputs is None else list(inputs),
            "output": [info("y", None, None, None, None)] if outputs is None else list(outputs),
            **graph,
        },
        "opset_import": [{"domain": "", "version": str(opset)}],
    }


def with_weight(**fields):
    """A model that adds one initializer, float32 [2] of 1 and 2 unless `fields` (None: remove) say otherwise."""
    w = {**tensor("w", np.array([1, 2], np.float32)), **fields}
    w = {key: value for key, value in w.items() if value is not None}
    return model([node("Add", ["x", "w"], ["y"])], [w], [info("x", 2)], [info("y", 2)])


def with_attribute(attribute, op_type="LeakyRelu"):
    return model([node(op_type, ["x"], ["y"], attribute)])


def tiny():
    """A small network with one of each thing that the reader handles."""
    rng = np.random.default_rng(0)
    nodes = [
        node("Conv", ["x", "w", "b"], ["conv"], ints("pads", 1, 1, 1, 1), ints("strides", 2, 2), name="first"),
        node("LeakyRelu", ["conv"], ["act"], {"name": "alpha", "f": 0.25, "type": "FLOAT"}),
        node("Clip", ["act", "", "six"], ["clipped"]),
        node("Constant", [], ["six"], {"name": "value", "t": {"data_type": 1, "float_data": [6.0]}, "type": "TENSOR"}),
        node("Reshape", ["clipped", "shape"], ["y"]),
    ]
    weights = [
        tensor("w", rng.standard_normal((4, 3, 3, 3)).astype(np.float32)),
        {"dims": ["4"], "data_type": 1, "name": "b", "float_data": [0.5, -0.5, 1, "NaN"]},
        {"dims": ["2"], "data_type": 7, "name": "shape", "int64_data": ["0", "-1"]},
    ]
    return copy.deepcopy(model(nodes, weights, outputs=[info("y", "N", 64)]))


def text(m):
    return json.dumps(m).encode()
