"""Seconds of CPU to load, plan and run models of many nodes: 1,000, 10,000 and 100,000 of each form.

    python bench/many_nodes.py                    # all forms
    python bench/many_nodes.py --nodes 1000,10000 --form relus,ifs

The growth is that from one size to the next: 10 times the nodes should take about 10 times the seconds.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv

Model = dict[str, Any]


def tensor(name: str, array: np.ndarray) -> dict[str, Any]:
    """A TensorProto of float32."""
    return {"name": name, "data_type": 1, "dims": list(array.shape), "raw_data": base64.b64encode(array.tobytes()).decode()}


def info(name: str, *dims: int | str) -> dict[str, Any]:
    """A ValueInfoProto of float32."""
    shape = {"dim": [{"dim_value": d} if isinstance(d, int) else {"dim_param": d} for d in dims]}
    return {"name": name, "type": {"tensor_type": {"elem_type": 1, "shape": shape}}}


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> dict[str, Any]:
    """A NodeProto with attributes that are ints or graphs."""
    kinds = {int: ("INT", "i"), list: ("INTS", "ints"), dict: ("GRAPH", "g")}
    listed = [{"name": k, "type": kinds[type(v)][0], kinds[type(v)][1]: v} for k, v in attributes.items()]
    return {"op_type": op, "input": inputs, "output": [output], "attribute": listed}


def model(nodes: list[dict[str, Any]], weights: list[dict[str, Any]] | None = None, inputs: Any = ()) -> Model:
    """A model that reads x (1 8 8 8) and gives the result of its last node."""
    outputs = [{"name": nodes[-1]["output"][0]}]
    graph = {"node": nodes, "initializer": weights or [], "input": [info("x", 1, 8, 8, 8), *inputs], "output": outputs}
    return {"ir_version": 10, "opset_import": [{"version": 22}], "graph": graph}


def relus(count: int) -> Model:
    """A chain of Relu."""
    return model([node("Relu", [f"y{i - 1}" if i else "x"], f"y{i}") for i in range(count)])


def activations(count: int) -> Model:
    """A chain of Relu and Sigmoid."""
    return model([node(("Relu", "Sigmoid")[i % 2], [f"y{i - 1}" if i else "x"], f"y{i}") for i in range(count)])


def convs(count: int) -> Model:
    """A chain of Conv with weights of its own each."""
    weights = np.eye(8, dtype=np.float32).reshape(8, 8, 1, 1)
    nodes = [node("Conv", [f"y{i - 1}" if i else "x", f"w{i}"], f"y{i}") for i in range(count)]
    return model(nodes, [tensor(f"w{i}", weights) for i in range(count)])


def parallel(count: int) -> Model:
    """Nodes that read one value each and lie in memory together, summed in the end."""
    nodes = [node(("Sigmoid", "Tanh")[i % 2], ["x"], f"y{i}") for i in range(count)]
    return model([*nodes, node("Sum", [f"y{i}" for i in range(count)], "y")])


def outputs(count: int) -> Model:
    """A chain of Relu and Sigmoid, all of whose results are outputs."""
    made = activations(count)
    made["graph"]["output"] = [{"name": f"y{i}"} for i in range(count)]
    return made


def fan_out(count: int) -> Model:
    """One value that all nodes read, the last as the first."""
    nodes = [node("Sigmoid", ["x"], "s"), *(node("Add", ["s", f"y{i - 1}" if i else "x"], f"y{i}") for i in range(count))]
    return model(nodes)


def concat(count: int) -> Model:
    """A Concat of many values."""
    nodes = [node("Sigmoid", ["x"], f"y{i}") for i in range(count)]
    return model([*nodes, node("Concat", [f"y{i}" for i in range(count)], "y", axis=1)])


def residual(count: int) -> Model:
    """A chain of Conv with a value that lives from the first to the last of every hundred."""
    weights = np.eye(8, dtype=np.float32).reshape(8, 8, 1, 1)
    nodes, last, kept = [], "x", "x"
    for i in range(count):
        op, inputs = ("Add", [last, kept]) if i % 100 == 99 else ("Conv", [last, "w"])
        last = f"y{i}"
        nodes.append(node(op, inputs, last))
        kept = last if i % 100 == 99 else kept
    return model(nodes, [tensor("w", weights)])


def ifs(count: int) -> Model:
    """Ifs, 16 one inside the other, with a condition that is computed."""

    def nested(depth: int, i: int) -> dict[str, Any]:
        name = f"y{i}_{depth}"
        ends = [{"name": f"{name}_{branch}"} for branch in "ab"]
        relu = {"node": [node("Relu", ["x"], ends[0]["name"])], "output": [ends[0]]}
        inner = {**nested(depth - 1, i), "output": [ends[1]["name"]]} if depth else node("Abs", ["x"], ends[1]["name"])
        return node("If", ["c"], name, then_branch=relu, else_branch={"node": [inner], "output": [ends[1]]})

    number = max(count // 32, 1)
    c = {"name": "c", "type": {"tensor_type": {"elem_type": 9, "shape": {}}}}
    nodes = [nested(15, i) for i in range(number)]
    return model([*nodes, node("Sum", [n["output"][0] for n in nodes], "y")], inputs=[c])


def initializers(count: int) -> Model:
    """Weights of 64 KB each whose base64 begins alike, read by one node each."""
    big = {f"w{i}": tensor(f"w{i}", np.full((1, 1, 128, 128), i % 7, np.float32)) for i in range(max(count // 100, 1))}
    nodes = [node("ReduceMax", [name], f"y{i}") for i, name in enumerate(big)]
    return model([*nodes, node("Sum", ["x", *(n["output"][0] for n in nodes)], "y")], list(big.values()))


FORMS: dict[str, Callable[[int], Model]] = {
    f.__name__: f for f in (relus, activations, convs, parallel, outputs, fan_out, concat, residual, ifs, initializers)
}


def seconds(form: str, count: int) -> list[float]:
    """What loading, planning with the first run, and the second run take, on all threads."""
    data = json.dumps(FORMS[form](count)).encode()
    times = [time.process_time()]
    network = fastconv.load(data)
    times.append(time.process_time())
    inputs = {"x": np.zeros((1, 8, 8, 8), np.float32)} | ({"c": np.array(False)} if form == "ifs" else {})
    for _ in range(2):
        network(inputs)
        times.append(time.process_time())
    return [b - a for a, b in itertools.pairwise(times)]


def main() -> None:
    """Print a line for each form and size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", default="1000,10000,100000", help="numbers of nodes")
    parser.add_argument("--form", default=",".join(FORMS), help=f"of {', '.join(FORMS)}")
    args = parser.parse_args()
    print(f"{'form':14}{'nodes':>9}{'load s':>10}{'plan s':>10}{'run s':>10}{'growth':>8}")
    warnings.simplefilter("ignore", fastconv.SlowPathWarning)
    seconds("relus", 1)  # imports what is imported when it is used
    for form in args.form.split(","):
        before = 0.0
        for count in map(int, args.nodes.split(",")):
            times = seconds(form, count)
            growth = f"{sum(times) / before:8.1f}" if before else ""
            before = sum(times)
            print(f"{form:14}{count:9,}{times[0]:10.2f}{times[1]:10.2f}{times[2]:10.3f}{growth}", flush=True)


if __name__ == "__main__":
    main()
