"""Other engines, to compare with: each loads a file and becomes a function of arrays.

The packages are imported when an engine is loaded; bench/engines.py measures what an engine adds to a process, so this module
imports nothing but NumPy.
"""

from __future__ import annotations

import math
import time
import zipfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .errors import FastconvError, InputError

#: the inputs in the file's order -> the outputs in the file's order
Run = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]


def onnxruntime(path: Path, threads: int) -> Run:
    """A `.onnx` file in onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def openvino(path: Path, threads: int) -> Run:
    """A `.onnx` file in OpenVINO, in float32 throughout."""
    return run_of(openvino_request(path, threads, INFERENCE_PRECISION_HINT="f32"))


def openvino_request(path: Path, threads: int, **hints: str) -> Any:
    """A `.onnx` file compiled by OpenVINO, as a request."""
    import openvino

    hints = {"PERFORMANCE_HINT": "LATENCY", **hints}
    return openvino.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads, **hints}).create_infer_request()


def run_of(request: Any) -> Run:
    """A request of OpenVINO as a function."""
    outputs = range(len(request.model_outputs))

    def run(inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        results = request.infer(list(inputs))
        return [results[i] for i in outputs]

    return run


def torch(path: Path, threads: int) -> Run:
    """A program of torch.export in a `.pt2` file, or what onnx2pytorch makes of a `.onnx` file, in PyTorch."""
    import torch

    if path.suffix == ".pt2":
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise InputError(f"{path}: not a program of torch, as torch.export.save writes it")
        return _in_torch(torch.export.load(path).module(), threads)
    import onnx
    import onnx2pytorch

    return _in_torch(onnx2pytorch.ConvertModel(onnx.load(path)).eval(), threads)


def module(net: Any, threads: int) -> Run:
    """A torch.nn.Module in evaluation mode; InputError for anything else."""
    try:
        import torch
    except ImportError:
        raise FastconvError("a module needs the torch package: pip install 'fastconv[torch]'") from None
    if not isinstance(net, torch.nn.Module):
        raise InputError(f"expected the name of an engine or a torch.nn.Module, got {type(net).__name__}")
    if net.training:
        raise InputError(f"the {type(net).__name__} is in training mode: call its eval method first")
    return _in_torch(net, threads)


def _in_torch(net: Any, threads: int) -> Run:
    """A function of tensors to a tensor, a sequence or a dict of them, with so many of PyTorch's threads."""
    import torch

    def run(inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with torch.inference_mode():
                results = net(*map(torch.from_numpy, inputs))
        finally:
            torch.set_num_threads(before)
        if isinstance(results, dict):
            results = list(results.values())
        return [y.numpy() for y in ([results] if isinstance(results, torch.Tensor) else results)]

    return run


ENGINES: dict[str, Callable[[Path, int], Run]] = {f.__name__: f for f in (onnxruntime, openvino, torch)}
#: the extra that brings each engine's packages
EXTRAS = {"onnxruntime": "peers", "openvino": "peers", "torch": "torch"}


def load(name: str, path: Path, threads: int) -> tuple[Run, str]:
    """(An engine with a file loaded, its name and version); FastconvError if a package is missing or the engine refuses."""
    try:
        return ENGINES[name](path, threads), f"{name} {import_module(name).__version__.split('-')[0]}"
    except ImportError as e:
        raise FastconvError(f"{name} needs the package {e.name}: pip install 'fastconv[{EXTRAS[name]}]'") from None
    except (FastconvError, OSError):
        raise
    except Exception as e:  # each has errors of its own
        raise refusal(name, e) from e


def refusal(name: str, error: Exception) -> FastconvError:
    """The error of an engine, in a line."""
    return FastconvError(f"{name} does not run the model: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")


def burst(call: Callable[[], object], seconds: float) -> float:
    """The milliseconds of the fastest call in so many seconds, but of at least three."""
    until, best, calls = time.perf_counter() + seconds, math.inf, 0
    while calls < 3 or time.perf_counter() < until:
        began = time.perf_counter()
        call()
        best, calls = min(best, time.perf_counter() - began), calls + 1
    return 1e3 * best


__all__ = ["ENGINES", "Run", "burst", "load", "module", "openvino_request", "refusal", "run_of"]
