"""from_torch: a live PyTorch module as a Model, by torch's own exporter, all in memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .errors import FastconvError, InputError, ModelError
from .model import Accuracy, Model, WeightsType
from .onnx_json.protobuf import as_dict

if TYPE_CHECKING:
    import torch

    #: an input that the module is tried with
    Example: TypeAlias = torch.Tensor | np.ndarray

#: of one input: axis -> the name of its size
Axes = Mapping[int, str]


def from_torch(
    module: torch.nn.Module,
    example: Example | tuple[Example, ...],
    *,
    dynamic_axes: Axes | tuple[Axes, ...] | None = None,
    threads: int | None = None,
    accuracy: Accuracy = "default",
    weights: WeightsType = "float32",
) -> Model:
    """The Model of a torch.nn.Module in evaluation mode. No file is written, and the module is left unchanged.

    Weights keep the names of the state dict, so that another state dict fits the file that `Model.save` writes.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    example : torch.Tensor, numpy.ndarray, or tuple of them
        Its input, or a tuple if `forward` takes several. The model takes inputs of these shapes.
    dynamic_axes : mapping of int to str, or tuple of mappings, optional
        The sizes that stay open, by axis: {0: "N", 2: "H", 3: "W"} leaves batch, height and width open. With several inputs a
        tuple, one mapping for each.
    threads, accuracy, weights
        As in `load`.

    Returns
    -------
    Model
        The network, ready to run.

    Raises
    ------
    FastconvError
        If a package that torch's exporter needs is missing.
    InputError
        If an argument is invalid.
    ModelError
        If torch cannot export the module; its subclass UnsupportedError lists every node that is not supported.

    Examples
    --------
    >>> import fastconv, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    >>> model = fastconv.from_torch(net, torch.zeros(1, 3, 32, 32), dynamic_axes={0: "N"})
    >>> model.outputs[0].shape
    ('N', 8, 30, 30)
    """
    torch = import_torch("from_torch")
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    inputs = [_tensor(x) for x in (example if isinstance(example, tuple) else (example,))]
    axes = _axes(dynamic_axes, inputs)
    for i, named in enumerate(axes):
        for axis in named:
            if inputs[i].shape[axis] == 1:  # torch treats a size of 1 as constant
                inputs[i] = torch.cat([inputs[i]] * 2, axis)
    training = [m for m in module.modules() if m.training]
    module.eval()
    try:
        shapes, options = tuple(axes) if any(axes) else None, {"threads": threads, "accuracy": accuracy, "weights": weights}
        return export(module, tuple(inputs), shapes, **options)
    except torch.onnx.OnnxExporterError as e:
        raise ModelError(f"torch cannot export this {type(module).__name__}: {export_reason(e)}") from e
    finally:
        for m in training:
            m.training = True


def import_torch(user: str) -> Any:
    """The package torch; FastconvError if it or onnxscript, which torch.onnx needs, is missing."""
    try:
        import onnxscript  # noqa: F401
        import torch
    except ImportError as e:
        raise FastconvError(f"{user} needs the package {e.name}: pip install 'fastconv[torch]'") from None
    return torch


def export(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], dynamic_shapes: Any, **options: Any) -> Model:
    """The Model of a module, by torch's exporter and its errors; `options` as in `load`."""
    import torch

    with quiet():
        program = torch.onnx.export(
            module,
            inputs,
            dynamo=True,
            optimize=False,  # fastconv's passes optimize, and keep the names of the weights
            verbose=False,
            dynamic_shapes=dynamic_shapes,
        )
    assert program is not None
    return Model(as_dict(program.model_proto), **options)


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's remarks about torchvision, if that is not installed."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def export_reason(error: Exception) -> str:
    """The first line of what went wrong."""
    return str(error.__cause__ or error).strip().partition("\n")[0]


def _tensor(x: Any) -> Any:
    import torch

    if isinstance(x, np.ndarray):
        return torch.from_numpy(x)
    if not isinstance(x, torch.Tensor):
        raise InputError(f"example: expected a tensor or an array, or a tuple of them, got {type(x).__name__}")
    return x


def _axes(dynamic_axes: Axes | tuple[Axes, ...] | None, inputs: list[Any]) -> list[dict[int, str]]:
    """For each input the names of its open axes, by axis from 0."""
    given = dynamic_axes if isinstance(dynamic_axes, tuple) else (dynamic_axes or {},) + ({},) * (len(inputs) - 1)
    if len(given) != len(inputs) or (len(inputs) > 1 and isinstance(dynamic_axes, Mapping)):
        raise InputError(f"dynamic_axes: expected a tuple of {len(inputs)} mappings, one for each input")
    out = []
    for named, x in zip(given, inputs, strict=True):
        for axis, name in named.items():
            if not (isinstance(axis, int) and -x.ndim <= axis < x.ndim and isinstance(name, str) and name.isidentifier()):
                raise InputError(
                    f"dynamic_axes: expected {{axis: name}} with axes below {x.ndim}, as in {{0: 'N'}}, got {axis!r}: {name!r}"
                )
        out.append({axis % x.ndim: name for axis, name in named.items()})
    return out


__all__ = ["export", "export_reason", "from_torch", "import_torch", "quiet"]
