"""The backend "fastconv" of torch.compile, which torch imports by its entry point.

    torch.compile(net, backend="fastconv")

dynamo captures a graph, and AOTAutograd makes one of it that writes to no input. Connected operators that torch's ONNX exporter
translates become a part of the graph, and each part a Model. All else runs in eager mode, and the log has the reason
(TORCH_LOGS=fastconv.torch_backend).
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch._dynamo.backends.common import aot_autograd
from torch.export.exported_program import _override_composite_implicit_decomp
from torch.fx.passes.infra.partitioner import CapabilityBasedPartitioner
from torch.fx.passes.operator_support import create_op_support

from .errors import FastconvError, InputError, UnsupportedError, did_you_mean
from .model import Accuracy, Model, WeightsType
from .threads import Locked
from .torch_export import export, export_reason, import_torch, quiet

log = logging.getLogger(__name__)

#: of the tensors of a part. Kernels compute in float32: wider and narrower floats would not be rounded as in eager mode
DTYPES = {torch.float32, torch.int64, torch.int32, torch.bool}
#: a part without one of these operators is not worth a call
PRODUCTS = {"aten::addmm", "aten::baddbmm", "aten::bmm", "aten::convolution", "aten::mm"}
#: of BatchNorm's operators. The exporter takes the others, which are for training, for the first of these
FAITHFUL_NORMS = ("aten._native_batch_norm_legit_no_training.", "aten._native_batch_norm_legit.no_stats")
#: the models of a part, one for each set of sizes that its tensors do not show
MOST_MODELS = 16
#: weights may change so many times after a single call
MOST_CHANGES = 3


class Options(NamedTuple):
    """What torch.compile takes as `options`."""

    strict: bool = False
    threads: int | None = None
    accuracy: Accuracy = "default"
    weights: WeightsType = "float32"

    def leave(self, what: str, reason: str, level: int = logging.WARNING) -> None:
        """Log why something is left to eager mode; UnsupportedError if nothing may be."""
        if self.strict:
            raise UnsupportedError(f"{what} cannot run on fastconv: {reason}")
        log.log(level, "%s runs in eager mode: %s", what, reason)


def compile_graph(
    module: torch.fx.GraphModule, example_inputs: Sequence[Any], *, options: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """A function that computes what the graph does: the backend, as torch.compile calls it.

    The weights of the network are constants of its models. Each call checks that they are the same and were not written to;
    otherwise the models are made again.

    Parameters
    ----------
    module : torch.fx.GraphModule
        The graph that dynamo captured.
    example_inputs : sequence
        Its inputs.
    options : mapping, optional
        `threads`: default `torch.get_num_threads()`, when a model is made. `accuracy`, `weights`: as in `load`. `strict`:
        whether what would run in eager mode is an UnsupportedError; default False.

    Returns
    -------
    callable
        It takes the graph's inputs and returns its outputs.

    Raises
    ------
    FastconvError
        If a package that torch's exporter needs is missing.
    InputError
        If there is no such option.

    Examples
    --------
    >>> import torch
    >>> from fastconv.torch_backend import compile_graph
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()).eval()
    >>> compiled = torch.compile(net, backend=compile_graph)  # or, if fastconv is installed, backend="fastconv"
    >>> x = torch.randn(1, 3, 32, 32)
    >>> with torch.no_grad():
    ...     torch.testing.assert_close(compiled(x), net(x))
    """
    import_torch('backend="fastconv"')
    for name in options or {}:
        if name not in Options._fields:
            raise InputError(f"options: there is no option {name!r}{did_you_mean(name, Options._fields)}")
    chosen = Options(**(options or {}))
    if any(t.requires_grad for n in module.graph.output_node().all_input_nodes for t in _tensors(n.meta.get("example_value"))):
        chosen.leave("a graph", "its results need gradients; call it under torch.no_grad() or torch.inference_mode()")
        return module.forward  # type: ignore[no-any-return]
    # AOTAutograd takes what the module holds before the inputs
    is_weight = [True for _ in chain(module.parameters(), module.buffers())]
    is_weight += [_is_weight(n) for n in module.graph.find_nodes(op="placeholder")]
    decompositions = dict(torch.export.default_decompositions())
    decompositions |= torch._decomp.get_decompositions([torch.ops.aten._adaptive_avg_pool2d])
    lower = aot_autograd(
        fw_compiler=lambda graph, _: _lower(graph, is_weight, chosen),
        decompositions={op: f for op, f in decompositions.items() if not _is_translated(op)},
    )
    try:
        with _override_composite_implicit_decomp(dict.fromkeys(_resizes(), lambda *_, **__: NotImplemented)):
            return lower(module, example_inputs)  # type: ignore[no-any-return]
    except (FastconvError, torch._dynamo.exc.TorchDynamoException):
        raise
    except Exception as e:
        chosen.leave("a graph", export_reason(e))
        return module.forward  # type: ignore[no-any-return]


def _resizes() -> list[Any]:
    """The operators of interpolate. AOTAutograd would make sums of gathered elements of them, and models have kernels."""
    aten = torch.ops.aten
    names = [f"nearest{d}d" for d in (1, 2, 3)] + ["linear1d", "bilinear2d", "trilinear3d", "bicubic2d"]
    return [getattr(aten, f"upsample_{name}").vec for name in names]


def _is_weight(placeholder: torch.fx.Node) -> bool:
    """Whether dynamo took the input from a module's parameters or buffers."""
    return "_dynamo_static_input_type" in placeholder.meta.get("tensor_dict", {})


@cache
def _registry() -> Any:
    """The operators that torch's ONNX exporter translates."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with quiet():
        return ONNXRegistry.from_torchlib()


def _is_translated(op: Any) -> bool:
    """Whether torch's ONNX exporter translates an operator, and to one that gives what torch gives."""
    if torch.Tag.nondeterministic_seeded in getattr(op, "tags", ()):
        return False
    if "batch_norm" in str(op) and not str(op).startswith(FAITHFUL_NORMS):
        return False
    return bool(_registry().is_registered(op))


def _lower(module: torch.fx.GraphModule, is_weight: list[bool], options: Options) -> Callable[..., Any]:
    """Put models in place of parts of a graph of AOTAutograd. The result takes a list, as AOTAutograd calls it."""
    metadata = torch._guards.TracingContext.get().fw_metadata
    placeholders = module.graph.find_nodes(op="placeholder")
    if len(placeholders) != len(is_weight):
        options.leave("a graph", "it writes to inputs that share memory")
    elif any(i.mutates_data and weight for i, weight in zip(metadata.input_info, is_weight, strict=True)):
        options.leave("a graph", "it writes to the module's weights or statistics; call .eval() on the module")
    else:
        _replace_parts(module, {n.name for n, weight in zip(placeholders, is_weight, strict=True) if weight}, options)

    def call(inputs: list[Any]) -> Any:
        return module(*inputs)

    call._boxed_call = True  # type: ignore[attr-defined]
    return call


def _replace_parts(module: torch.fx.GraphModule, weights: set[str], options: Options) -> None:
    """Find the parts that models can compute, and put models in their place."""
    left: set[torch.fx.Node] = set()
    for n in module.graph.nodes:
        if n.op == "call_function" and (reason := _refusal(n, left)) is not None:
            left.add(n)
            if reason:
                options.leave(f"{n.target}{_place(n)}", reason, logging.INFO)
    support = create_op_support(lambda _, n: n.op == "call_function" and n not in left)
    partitioner = CapabilityBasedPartitioner(module, support, allows_single_node_partition=True)
    parts = []
    for part in partitioner.propose_partitions():
        if any(_name(n) in PRODUCTS for n in part.nodes):
            parts.append(part)
        else:
            operators = ", ".join(sorted({str(n.target) for n in part.nodes if n.target is not operator.getitem}))
            options.leave(operators, "no convolution or matrix product is connected with it", logging.INFO)
    partitioner.fuse_partitions(parts, prefix="fastconv_")
    for call in module.graph.nodes:
        if call.op == "call_module":
            part = module.get_submodule(call.target)
            constant = [n.name in weights or n.op == "get_attr" for n in call.args]
            part.forward = _Part(part, constant, options)  # of this module alone: its class has the eager one
    module.recompile()


def _refusal(node: torch.fx.Node, left: set[torch.fx.Node]) -> str | None:
    """Why a model cannot compute a node; None if it can, "" if there is nothing to say."""
    if node.target is operator.getitem:
        return "" if node.args[0] in left else None
    value = node.meta.get("val")
    results = list(_tensors(value))
    if not results:  # arithmetic with sizes, which a part may hold, or a check
        return None if isinstance(value, torch.SymInt) and _is_translated(node.target) else ""
    if not _is_translated(node.target):
        return "torch's ONNX exporter does not translate it, or it is random"
    for t in chain(results, *(_tensors(n.meta.get("val")) for n in node.all_input_nodes)):
        if t.device.type != "cpu" or t.layout != torch.strided:
            return f"a tensor is {t.layout} on {t.device.type}"
        if t.dtype not in DTYPES:
            return f"a tensor is {t.dtype}"
    return None


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in the value of a node."""
    for v in value if isinstance(value, tuple | list) else (value,):
        if isinstance(v, torch.Tensor):
            yield v


def _name(node: torch.fx.Node) -> str:
    return node.target.name().partition(".")[0] if isinstance(node.target, torch._ops.OpOverload) else ""


def _place(node: torch.fx.Node) -> str:
    """Where the user's code calls the operator: the last line of its stack with a file."""
    lines = [line.strip() for line in (node.stack_trace or "").splitlines() if line.strip().startswith("File ")]
    return f" ({lines[-1]})" if lines else ""


class _Models(NamedTuple):
    """The models for weights in one state: at these addresses, with these counts of writes."""

    state: list[tuple[int, int]]
    weights: list[torch.Tensor]  # so that no other tensor comes to lie at their addresses
    by_sizes: dict[tuple[int, ...], Model]


class _Part(Locked):
    """A part of a graph, as a function of its operands.

    Parameters
    ----------
    module : torch.fx.GraphModule
        The part, as operators of torch.
    is_constant : list of bool
        For each operand, whether it is a weight or another constant.
    options : Options
        The user's.
    """

    def __init__(self, module: torch.fx.GraphModule, is_constant: list[bool], options: Options):
        super().__init__()
        self._eager = torch.fx.GraphModule(module, module.graph)
        self._graph = module.graph
        self._options = options
        self._operands = module.graph.find_nodes(op="placeholder")
        values = [n.meta.get("val") for n in self._operands]
        self._weights = [i for i, constant in enumerate(is_constant) if constant]
        self._tensors = [i for i, v in enumerate(values) if not is_constant[i] and isinstance(v, torch.Tensor)]
        #: expression -> (tensor, axis) with a size of this value
        shown = {_expression(size): (i, axis) for i in self._tensors for axis, size in enumerate(values[i].shape)}
        sizes = [i for i, v in enumerate(values) if not is_constant[i] and not isinstance(v, torch.Tensor)]
        self._shown = {i: shown[_expression(values[i])] for i in sizes if _expression(values[i]) in shown}
        self._sizes = [i for i in sizes if i not in self._shown]
        (results,) = module.graph.output_node().args
        self._is_tuple = not isinstance(results, torch.fx.Node)
        #: what makes a result of an array
        self._results = [_result(n.meta["val"]) for n in (results if self._is_tuple else [results])]
        self._models: _Models | None = None
        self._calls = 0  # with these weights
        self._changes = 0  # of weights after a single call, in succession
        self._failed = False

    def __call__(self, *operands: Any) -> Any:
        if not self._failed and not any(isinstance(x, torch._subclasses.FakeTensor) for x in operands):
            try:
                return self._compute(operands)
            except Exception as e:  # whatever the exporter or the engine refuses, torch computes
                self._options.leave(f"a part of {len(self._graph.nodes)} nodes", export_reason(e))
                self._failed = True
        return self._eager(*operands)

    def _compute(self, operands: Sequence[Any]) -> Any:
        model = self._model(operands)
        arrays = (operands[i].detach().numpy() for i in self._tensors)
        outputs = model.run(dict(zip((v.name for v in model.inputs), arrays, strict=True)))
        results = [result(a) for result, a in zip(self._results, outputs, strict=True)]
        return tuple(results) if self._is_tuple else results[0]

    def _model(self, operands: Sequence[Any]) -> Model:
        """The model for these weights and sizes."""
        state = [(operands[i].data_ptr(), operands[i]._version) for i in self._weights]
        sizes = tuple(operands[i] for i in self._sizes)
        with self._lock:
            if self._models is None or self._models.state != state:
                self._changes = self._changes + 1 if self._calls == 1 else 0
                if self._changes == MOST_CHANGES:
                    raise FastconvError("its weights change with each call")
                self._calls = 0
                self._models = _Models(state, [operands[i].detach() for i in self._weights], {})
            self._calls += 1
            models = self._models.by_sizes
            if sizes not in models:
                if len(models) == MOST_MODELS:
                    raise FastconvError(f"{MOST_MODELS} models were made for it, and sizes that it computes have changed again")
                models[sizes] = self._make(operands)
            return models[sizes]

    def _make(self, operands: Sequence[Any]) -> Model:
        """Export the part, with weights and sizes as constants."""
        graph, weights, copies = torch.fx.Graph(), {}, {}
        for i in self._tensors:
            copies[i] = graph.placeholder(f"input_{i}")
        for i in self._weights:
            weights[f"weight_{i}"] = operands[i].detach()
            copies[i] = graph.get_attr(f"weight_{i}")
        for i, (tensor, axis) in self._shown.items():
            copies[i] = graph.call_function(torch.ops.aten.sym_size.int, (copies[tensor], axis))
        for i in self._sizes:
            copies[i] = operands[i]
        graph.output(graph.graph_copy(self._graph, {self._operands[i]: copy for i, copy in copies.items()}))
        inputs = tuple(operands[i] for i in self._tensors)
        shapes = [self._operands[i].meta["val"].shape for i in self._tensors]
        axes = tuple(
            {axis: torch.export.Dim.AUTO for axis, d in enumerate(shape) if not isinstance(d, int)} for shape in shapes
        )
        module = torch.fx.GraphModule(weights, graph).eval()
        chosen = self._options
        threads = chosen.threads or torch.get_num_threads()
        options = {"threads": threads, "accuracy": chosen.accuracy, "weights": chosen.weights}
        with ThreadPoolExecutor(1) as pool:  # this one is in the state of dispatch that AOTAutograd runs graphs in
            model = pool.submit(export, module, inputs, axes if any(axes) else None, **options).result()
        log.info("a part of %d nodes is %r", len(self._graph.nodes), model)
        return model


def _expression(size: int | torch.SymInt) -> Any:
    """What a size is known by: its number, or sympy's expression."""
    return size if isinstance(size, int) else size.node.expr


def _result(value: torch.Tensor | torch.SymInt) -> Callable[[np.ndarray], Any]:
    """A function that makes a result like this of an array, which it does not copy if the axes are in order in memory."""
    if not isinstance(value, torch.Tensor):
        return int
    strides = [s if isinstance(s, int) else s.node.hint for s in value.stride()]
    order = sorted(range(value.ndim), key=lambda axis: -strides[axis])
    if order == sorted(order):
        return torch.from_numpy  # type: ignore[no-any-return]
    places = sorted(order, key=order.__getitem__)
    # laid out as in eager mode: views may be taken of it later
    return lambda array: torch.from_numpy(array).permute(order).contiguous().permute(places)


__all__ = ["compile_graph"]
