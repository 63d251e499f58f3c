"""bench/oversubscription.py: its table, and one short turn of each column."""

import sys

import numpy as np
import oversubscription as bench
import zoo

from fastconv.graph import Graph, Node, Value
from fastconv.ops import REGISTRY


def test_a_ratio_is_of_the_same_round():
    rates = {"one": {1: [10.0, 20.0, 30.0], bench.CPUS + 1: [5.0, 20.0, 60.0], bench.CPUS: [10.0, 20.0, 30.0]}}
    assert bench.table(rates)[2:] == [
        "| 1 | 20.0 | 1.00 |",
        f"| {bench.CPUS + 1} | 20.0 | 1.00 |",
        f"| {bench.CPUS} | 20.0 | 1.00 |",
    ]


def test_every_column_runs(monkeypatch, capsys):
    x, y = (Value(name, (1, 2, 4, 4), np.dtype(np.float32)) for name in "xy")
    monkeypatch.setattr(zoo, "build", lambda network: Graph([x], [y], [Node(REGISTRY["Relu"](), [x], [y])]))
    monkeypatch.setattr(sys, "argv", ["oversubscription.py", "relu", "--callers", "3", "--rounds", "1", "--burst", "0.01"])
    bench.main()
    header, _, *rows = capsys.readouterr().out.splitlines()[2:]
    assert header.count("calls/s") == 3
    assert [row.split()[1] for row in rows] == sorted({str(bench.CPUS), "3"})
