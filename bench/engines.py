"""One engine in a process of its own, started by bench/peers.py: it loads a model, answers once, and then runs on request.

    python bench/engines.py '{"engine": "onnxruntime", "model": "net.onnx", "x": "x.npy", "y": "y.npy", "threads": 1}'

It reads lines with the seconds of a burst, and writes lines of JSON. The first has the time from load to the first answer,
which goes to the file `y`, and the bytes of memory; each of the others has the fastest call of a burst. A model is an `.onnx`
file, or what an engine reads instead, beside it: `.json` for fastconv, `.ncnn.param` and `.ncnn.bin` for ncnn.

The import of the engine counts neither as time nor as memory; nothing but NumPy and fastconv/engines.py is imported besides.
"""

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.engines import Run, burst, onnxruntime, openvino_request, run_of


def fastconv(path: Path, threads: int, accuracy: str) -> Run:
    import fastconv

    model = fastconv.load(path.with_suffix(".json"), threads=threads, accuracy=accuracy)
    return lambda inputs: list(model.run(inputs[0]))


def ncnn(path: Path, threads: int, accuracy: str) -> Run:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    for narrow in ("fp16_storage", "fp16_arithmetic", "fp16_packed", "bf16_storage"):
        setattr(net.opt, f"use_{narrow}", False)
    net.opt.use_winograd_convolution = accuracy != "exact"  # the other peers have none
    if net.load_param(str(path.with_suffix(".ncnn.param"))) or net.load_model(str(path.with_suffix(".ncnn.bin"))):
        raise RuntimeError("the model does not load")

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], ncnn.Mat(inputs[0][0]))
        return [np.array(extractor.extract(net.output_names()[0])[1])]

    return run


def openvino(path: Path, threads: int, precision: str) -> tuple[Run, str]:
    """A function, and the types in which it multiplies: quantized networks leave the choice to OpenVINO."""
    hints = {"INFERENCE_PRECISION_HINT": "f32"} if precision == "float32" else {}
    request = openvino_request(path, threads, **hints)
    operations = [op.get_rt_info() for op in request.get_compiled_model().get_runtime_model().get_ops()]
    types = {str(i["runtimePrecision"].value) for i in operations if str(i["layerType"].value) in PRODUCTS}
    return run_of(request), ", ".join(sorted(types))


#: OpenVINO's operations that sum products
PRODUCTS = ("Convolution", "FullyConnected", "MatMul")
#: engine -> its function, and the types in which it multiplies, where it chooses them
Load = Callable[[Path, int, dict[str, Any]], tuple[Run, str]]
ENGINES: dict[str, Load] = {
    "fastconv": lambda path, threads, task: (fastconv(path, threads, task["accuracy"]), ""),
    "onnxruntime": lambda path, threads, task: (onnxruntime(path, threads), ""),
    "openvino": lambda path, threads, task: openvino(path, threads, task["precision"]),
    "ncnn": lambda path, threads, task: (ncnn(path, threads, task["accuracy"]), ""),
}


def memory() -> tuple[int, int] | None:
    """Bytes resident now and at their peak; None where the system does not report them."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines())
    now, peak = (1024 * int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM"))
    return now, peak


def forget_peak() -> None:
    """Reset the peak to what is resident now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def first_answer(task: dict[str, Any], x: np.ndarray) -> tuple[Run, dict[str, Any]]:
    """The engine's function, and the time and memory up to its first answer."""
    version = str(importlib.import_module(task["engine"]).__version__).split("-")[0]
    forget_peak()
    before = memory()
    began = time.perf_counter()
    run, types = ENGINES[task["engine"]](Path(task["model"]), task["threads"], task)
    y = np.asarray(run([x])[0])
    seconds = time.perf_counter() - began
    after = memory()
    np.save(task["y"], y)
    told = {"resident": after[0] - before[0], "peak": after[1] - before[0]} if before and after else {}
    return run, {"version": version + f" ({types})" * bool(types), "load_s": seconds, **told}


def main() -> None:
    task = json.loads(sys.argv[1])
    # what libraries print goes elsewhere
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(**what: Any) -> None:
        print(json.dumps(what), file=out, flush=True)

    x = np.load(task["x"])
    try:
        run, told = first_answer(task, x)
    except Exception as e:
        return tell(error=f"{type(e).__name__}: {e}".splitlines()[0])
    tell(**told)
    for line in sys.stdin:
        tell(ms=burst(lambda: run([x]), float(line)))


if __name__ == "__main__":
    main()
