"""bench/servers.py with the fake onnxruntime of test_peers.py: what runs, and the table."""

import re
import sys

import numpy as np
import peers
import pytest
import servers

import fastconv

from .test_peers import FAKE


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_servers_answer_and_take_turns(tmp_path, monkeypatch, capsys):
    (tmp_path / "onnxruntime.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MODE", "")
    monkeypatch.setenv("PYTHONSAFEPATH", "")  # a program finds engines.py beside it
    monkeypatch.setattr(servers, "version", lambda package: "9.9")
    monkeypatch.setattr(servers, "PAGE", tmp_path / "servers.md")
    monkeypatch.setattr(peers, "CACHE", tmp_path / "cache")
    servers.PAGE.write_text("above\n<!-- table: servers -->\nold\n<!-- end -->\nbelow\n")
    options = ["--servers", "asyncio", "--threads", "1", "--clients", "2", "--rounds", "2", "--burst", "0.02", "--write"]
    monkeypatch.setattr(sys, "argv", ["servers.py", *options, str(fastconv.data.DIGITS)])
    servers.main()
    printed, written = capsys.readouterr().out, servers.PAGE.read_text()
    assert re.search(r"^\| asyncio \| digits \| 2 \| best: 1, 1 \| \d+ \([\d.]+, [\d.]+\) \| \d+ \(", printed, re.MULTILINE)
    assert written.endswith("|\n<!-- end -->\nbelow\n")
    assert "onnxruntime 9.9:\n\n| server | network |" in written
    assert "old" not in written


def server(engine, threads, *rates):
    """A server that has answered so many requests a second in each burst, each within 1 ms to 3 ms."""
    found = object.__new__(servers.Server)
    found.kind, found.engine, found.threads, found.megabytes = "asyncio", engine, threads, 50 + threads
    found.task = servers.Task("net", None, (), b"", np.zeros(1))
    found.bursts = {8: [servers.Burst(2.0, list(np.linspace(1, 3, 2 * rate))) for rate in rates]}
    return found


def test_the_table_has_the_best_threads_of_each_engine_and_the_defaults():
    both = [
        server("fastconv", 1, 100, 110, 90),
        server("onnxruntime", 1, 80, 100, 60),
        server("fastconv", 0, 120, 140, 130),
        server("onnxruntime", 0, 60, 70, 65),
    ]
    assert list(servers.rows(both, 8)) == [
        "| asyncio | net | 8 | best: default, 1 | 130 (2.0, 2.9) | 80 (2.0, 2.9) | 1.50 | 50 | 51 |",
        "| asyncio | net | 8 | default | 130 (2.0, 2.9) | 65 (2.0, 2.9) | 2.00 | 50 | 50 |",
    ]
