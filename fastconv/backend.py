"""ONNX's backend interface, by which ONNX's own test runner and other tools drive fastconv; it needs the onnx extra.

import fastconv.backend

rep = fastconv.backend.prepare(onnx.load("model.onnx"))
(y,) = rep.run([x])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

try:
    from google.protobuf.message import EncodeError
    from onnx import ModelProto, NodeProto, defs, helper
    from onnx.backend.base import Backend, BackendRep
except ImportError:
    raise ImportError("fastconv.backend needs the onnx package: pip install 'fastconv[onnx]'") from None

from .errors import InputError
from .model import Model, load


class FastconvRep(BackendRep):
    """A prepared network: `run` it as often as you like."""

    def __init__(self, model: Model):
        self.model = model

    def run(self, inputs: Any, **kwargs: Any) -> tuple[np.ndarray, ...]:
        """The outputs, in the graph's order, for the inputs: arrays in the graph's order, or a mapping by name.

        Keywords are ignored, as the interface asks. InputError if an input does not fit.
        """
        if not isinstance(inputs, Mapping):
            given = inputs if isinstance(inputs, Sequence) else (inputs,)
            names = [i.name for i in self.model.inputs]
            if len(given) != len(names):
                raise InputError(f"the model has {len(names)} inputs ({', '.join(map(repr, names))}), got {len(given)}")
            inputs = dict(zip(names, given, strict=True))
        return tuple(self.model.run(inputs))


class FastconvBackend(Backend):
    """The interface that `onnx.backend.test` and others call; the functions of this module are its methods."""

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Always True; `prepare` raises UnsupportedError with the nodes that are not supported."""
        return True

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> FastconvRep:
        """A network ready to run, read from the model's bytes. Keywords and errors are those of `fastconv.load`.

        InputError for a model of 2 GiB or more, which protobuf does not write.
        """
        if not cls.supports_device(device):
            raise InputError(f"device: expected 'CPU', got {device!r}")
        try:
            data = model.SerializeToString()
        except EncodeError:
            raise InputError("model: protobuf writes less than 2 GiB; load a file with external data instead") from None
        return FastconvRep(load(data, **kwargs))

    @classmethod
    def run_model(cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[np.ndarray, ...]:
        """The outputs of a network that is run once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[np.ndarray, ...]:
        """The outputs of one node for the arrays of its inputs that are there, in order.

        `opset_version`: the version of the node's domain; without it, the node has the newest form that the onnx package
        knows. `outputs_info` is not needed. Other keywords are those of `fastconv.load`.
        """
        arrays = [np.asarray(x) for x in inputs]
        names = list(dict.fromkeys(name for name in node.input if name))
        if len(names) != len(arrays):
            raise InputError(f"the node reads {len(names)} values ({', '.join(map(repr, names))}), got {len(arrays)} arrays")
        graph = helper.make_graph(
            [node], "node", [], [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        )
        for name, x in zip(names, arrays, strict=True):
            graph.input.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape))
        opset = kwargs.pop("opset_version", None) or defs.get_schema(node.op_type, domain=node.domain).since_version
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, opset)])
        return cls.run_model(model, dict(zip(names, arrays, strict=True)), device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether the device is a CPU: "CPU", or "CPU:0"."""
        return device.partition(":")[0] == "CPU"


is_compatible = FastconvBackend.is_compatible
prepare = FastconvBackend.prepare
run_model = FastconvBackend.run_model
run_node = FastconvBackend.run_node
supports_device = FastconvBackend.supports_device

__all__ = ["FastconvBackend", "FastconvRep", "is_compatible", "prepare", "run_model", "run_node", "supports_device"]
