"""The networks and the failing allocator that the tests of faults and `python -m tests.faults` share."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from fastconv import onnx_json

from ..support.graphs import Net, normal

FOLDER = Path(__file__).parent
CAN_FAIL = platform.libc_ver()[0] == "glibc" and shutil.which("cc") is not None


def save(folder, seed=0):
    """The path of a network with most ways to compute: Winograd, GEMM, a reference, sizes from elements, weights in a file."""
    rng = np.random.default_rng(seed)
    net = Net()
    x = net.input("x", "N", 16, 12, 12)
    y = net("Relu", net("Conv", x, normal(rng, 64, 16, 3, 3), normal(rng, 64), pads=(1,) * 4))
    y = net("Add", y, net("Conv", y, normal(rng, 64, 64, 3, 3), pads=(1,) * 4))
    y = net("MaxPool", y, kernel_shape=(2, 2), strides=(2, 2))
    y = net("MatMul", net("Flatten", y), normal(rng, 64 * 36, 128))
    folder.mkdir(exist_ok=True)
    onnx_json.write(net.graph(net("CumSum", y, np.array([1])), net("NonZero", y)), folder / "net.json")
    return folder / "net.json"


def build(folder):
    """The path of the allocator, compiled."""
    library = folder / "failing_malloc.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, FOLDER / "failing_malloc.c"], check=True)
    return library


def phases(library, model, *options):
    """What allocations.py prints: a dict for each phase."""
    command = [sys.executable, FOLDER / "allocations.py", model, *options]
    environment = os.environ | {"LD_PRELOAD": str(library), "OMP_WAIT_POLICY": "passive"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        yield from map(json.loads, process.stdout)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
