"""Replacing the weights of an exported graph by a PyTorch state dict, with BatchNorm folded as in the graph.

Exporters fold BatchNorm into the layer before it, rename and transpose weights, and let equal ones share an initializer. So
each layer is matched with the module it came from, by the first of these that decides: the scope that torch.onnx writes into
the node's metadata; the names of its weights; the node's own name; the shapes, by the order of the modules if all shapes agree
with it, else if only one layer has a shape. The BatchNorm of a layer is found by the scope, by order (the module after the
layer's), by number or by name. If these contradict each other, or none decides, it is an error.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .dtypes import DATA_TYPES
from .errors import InputError, ModelError
from .graph import shape_text
from .onnx_json.format import TENSOR_DATA
from .strict_json import brief

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: The names in a state dict of a layer's inputs after the first, and of a BatchNorm's.
LAYERS = {"Conv": ("weight", "bias"), "ConvTranspose": ("weight", "bias"), "Gemm": ("weight", "bias"), "MatMul": ("weight",)}
NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Placement:
    """An initializer, the key of the array that it got, and the BatchNorm that was folded into that ("": none)."""

    target: str
    source: str
    norm: str = ""

    def __str__(self) -> str:
        return f"{self.target}: {self.source}{f', {self.norm} folded into it' if self.norm else ''}"


@dataclass
class _Layer:
    """A node (the graph's n-th) with weights, the module that it is, and the BatchNorm that is folded into it."""

    n: int
    node: Any
    module: str | None = None
    norm: str | None = None

    @property
    def is_norm(self) -> bool:
        return bool(self.node.op_type == "BatchNormalization")

    @property
    def fields(self) -> tuple[str, ...]:
        return NORM if self.is_norm else LAYERS[self.node.op_type]

    def __str__(self) -> str:
        return f"node {brief(self.node.name or ''.join(self.node.output[:1]))}"


def place(
    graph: Any, state: Mapping[str, ArrayLike], *, ignore_unused: bool = False, epsilon: float = 1e-5
) -> tuple[Placement, ...]:
    """Put the arrays into a GraphProto; returns the placements. A ModelError names every array that does not fit.

    Weights that the state dict lacks stay. ignore_unused: accept arrays that fit nowhere. epsilon: for folded BatchNorms whose
    epsilon the graph does not state.
    """
    if not 0 <= epsilon < np.inf:
        raise InputError(f"epsilon: expected a number of at least 0, got {epsilon}")
    kept = {key: np.asarray(array) for key, array in state.items() if key.rpartition(".")[2] != "num_batches_tracked"}
    return _Placer(graph, kept, epsilon).place(ignore_unused)


class _Placer:
    """Matches the layers of a graph with the modules of a state dict, and writes their arrays."""

    def __init__(self, graph: Any, state: dict[str, np.ndarray], epsilon: float):
        _separate(graph)
        self.graph = graph
        self.nodes = list(graph.node)
        self.tensors = {t.name: t for t in graph.initializer}
        self.tensors |= {
            name: a.t
            for n in graph.node
            if n.op_type == "Constant"
            for name in n.output[:1]
            for a in n.attribute
            if a.name == "value"
        }
        self.state = state
        self.epsilon = epsilon
        self.modules: dict[str, dict[str, np.ndarray]] = {}
        for key, array in state.items():
            module, _, field = key.rpartition(".")
            self.modules.setdefault(module, {})[field] = array
        self.norms = [m for m, fields in self.modules.items() if fields.keys() >= {"running_mean", "running_var"}]
        self.weighted = [m for m, fields in self.modules.items() if "weight" in fields and fields["weight"].ndim > 1]
        self.ordered = _ordered(state)
        self.made: dict[tuple[int, int], tuple[np.ndarray, Placement]] = {}  # by node and input
        self.used: set[str] = set()
        self.wrong: list[str] = []

    def place(self, ignore_unused: bool) -> tuple[Placement, ...]:
        layers = [_Layer(n, node) for n, node in enumerate(self.nodes) if self.has_weights(node)]
        for layer in layers:
            self.match_by_name(layer)
        self.match_by_shape([layer for layer in layers if not layer.is_norm], self.weighted)
        self.match_norms(layers)
        for layer in layers:
            if layer.module is not None:
                self.make(layer)
        self.make_named()
        placed = tuple(dict.fromkeys(self.write()))
        if not ignore_unused:
            self.wrong += [
                f"{brief(key)}: the model has no initializer of this name" for key in self.state if key not in self.used
            ]
        if self.wrong:
            raise ModelError("\n  ".join(["the weights do not fit the model:", *dict.fromkeys(self.wrong)]))
        return placed

    def has_weights(self, node: Any) -> bool:
        """Whether the node is a layer or a BatchNorm with constant weights."""
        if node.op_type not in (*LAYERS, "BatchNormalization") or len(node.input) < 2 or node.input[1] not in self.tensors:
            return False
        return node.op_type != "Gemm" or all(a.f == 1 for a in node.attribute if a.name in ("alpha", "beta"))

    def shape(self, layer: _Layer) -> tuple[int, ...]:
        """The shape of the layer's weights in PyTorch."""
        dims = tuple(self.tensors[layer.node.input[1]].dims)
        return dims[::-1] if _transposed(layer.node, 1) else dims

    # ---- which module a node is

    def match_by_name(self, layer: _Layer) -> None:
        modules, scope = self.norms if layer.is_norm else self.weighted, _scope(layer.node)
        names = [name.rpartition(".") for name in layer.node.input[1:]]
        named = [module for (module, _, field), own in zip(names, layer.fields, strict=False) if field == own]
        layer.module = next((m for m in (scope, *named, _path(layer.node)) if m in modules), None)
        if not layer.is_norm and scope in self.norms:
            layer.norm = scope

    def match_by_shape(self, layers: list[_Layer], modules: Iterable[str]) -> None:
        """Match the layers without a matching name; layers that share their weights count as one."""
        free: dict[str, list[_Layer]] = {}
        for layer in layers:
            if layer.module is None:
                free.setdefault(layer.node.input[1], []).append(layer)
        taken = {layer.module for layer in layers}
        shapes = {name: self.shape(same[0]) for name, same in free.items()}
        left = [m for m in modules if m not in taken and _key(m, "weight") not in self.tensors]
        wanted = {m: self.modules[m].get("running_var", self.modules[m].get("weight", np.empty(0))).shape for m in left}
        if self.ordered and list(shapes.values()) == list(wanted.values()):
            pairs = list(zip(wanted, shapes, strict=True))
        else:
            count, more = Counter(shapes.values()), Counter(wanted.values())
            pairs = [(m, n) for m, a in wanted.items() for n, b in shapes.items() if a == b and count[a] == more[a] == 1]
        for m, name in pairs:
            for layer in free.pop(name):
                layer.module = m
            del wanted[m]
        for m, shape in wanted.items():
            if maybe := [str(same[0]) for name, same in free.items() if shapes[name] == shape]:
                self.wrong.append(f"{brief(m)}: its weights could be those of {_several(maybe)}, and nothing says which")
                self.used.update(_key(m, field) for field in self.modules[m])

    # ---- which BatchNorm is folded into a layer

    def match_norms(self, layers: list[_Layer]) -> None:
        norms = [layer for layer in layers if layer.is_norm]
        taken = {layer.module for layer in norms} | {layer.norm for layer in layers}
        left = [m for m in self.norms if m not in taken]
        some = sum(layer.module is None for layer in norms) < len(left)  # else all of them are nodes of the graph
        open_ = [
            layer for layer in layers if not (layer.is_norm or layer.norm) and self.may_hold_norm(layer, some) is not False
        ]
        found: dict[str, str] = {}  # the module of the layer that each is folded into
        for layer in open_:
            maybe = self.norms_beside(layer, open_, left)
            if len(maybe) == 1:
                layer.norm = maybe[0]
                if found.setdefault(layer.norm, layer.module or "") != layer.module:
                    self.wrong.append(f"{layer}: {layer.norm!r} would be folded into it, and into {found[layer.norm]!r} too")
            elif maybe or self.may_hold_norm(layer, some):
                maybe = maybe or [m for m in left if self.fits(m, layer)]
                which = f"it could be {_several(map(brief, maybe))}" if maybe else "it is not among them"
                self.wrong.append(f"{layer}: nothing says which BatchNorm is folded into {brief(layer.module)}: {which}")
                self.used.update(_key(m, field) for m in maybe for field in self.modules[m])
        self.match_by_shape(norms, [m for m in left if m not in found])
        if found and (lost := [layer for layer in norms if layer.module is None]):
            self.wrong += [f"{layer}: nothing says which BatchNorm it is" for layer in lost]

    def may_hold_norm(self, layer: _Layer, some: bool) -> bool | None:
        """Whether a BatchNorm is folded into the layer: True if nothing else explains its bias, None if `some` may be."""
        bias = layer.node.input[2] if len(layer.node.input) > 2 else ""
        if layer.module in (None, _scope(layer.node)) or bias not in self.tensors or bias == _key(layer.module, "bias"):
            return False
        return True if "bias" not in self.modules[layer.module] else None if some else False

    def fits(self, norm: str, layer: _Layer) -> bool:
        """Whether the BatchNorm has as many channels as the layer's output."""
        bias = self.tensors[layer.node.input[2]]
        return list(bias.dims[-1:]) == list(self.modules[norm]["running_var"].shape)

    def norms_beside(self, layer: _Layer, layers: list[_Layer], left: list[str]) -> list[str]:
        """The BatchNorms that order, number and name point to; else the only sibling, if it fits no other layer."""
        module = layer.module or ""
        left = [m for m in left if self.fits(m, layer)]
        beside = [m for m in left if _parent(m) == _parent(module)]
        others = {m.module: m for m in layers if m.module is not None and _parent(m.module) == _parent(module)}
        said = {self.next_in_order(module), self.next_number(module)}
        named = [m for m in beside if _stem(m) == _stem(module)]
        if len(named) == 1 and [_stem(m) for m in others].count(_stem(module)) == 1:
            said.update(named)
        if known := [m for m in left if m in said]:
            return known
        return beside if len(beside) == 1 and sum(self.fits(beside[0], m) for m in others.values()) == 1 else []

    def next_in_order(self, module: str) -> str | None:
        """The module after this one, if the order is known."""
        modules = list(self.modules) if self.ordered else []
        return next((m for before, m in itertools.pairwise(modules) if before == module), None)

    def next_number(self, module: str) -> str | None:
        """The sibling with the next number, for a module with a number, as in a Sequential."""
        prefix = _key(_parent(module), "")
        names = {m.removeprefix(prefix).partition(".")[0] for m in self.modules if m.startswith(prefix)}
        numbers = sorted(int(name) for name in names if re.fullmatch("[0-9]{1,9}", name))
        last = module.removeprefix(prefix)
        return next((f"{prefix}{n}" for m, n in itertools.pairwise(numbers) if str(m) == last), None)

    # ---- the arrays

    def make(self, layer: _Layer) -> None:
        """Make the arrays for a layer's inputs from its module."""
        module, norm = layer.module or "", layer.norm
        arrays = dict(self.modules[module])
        self.used.update(_key(module, field) for field in layer.fields if field in arrays)
        if norm:
            self.used.update(_key(norm, field) for field in NORM)
            try:
                with np.errstate(invalid="ignore", divide="ignore"):  # a negative variance gives NaN, as by the definition
                    self.fold(layer, arrays)
            except ValueError:
                self.wrong.append(f"{layer}: {norm!r} does not fit {module!r}")
                return
        for i, field in enumerate(layer.fields, 1):
            if field in arrays:
                self.made[layer.n, i] = arrays[field], Placement("", _key(module, field), norm or "")

    def fold(self, layer: _Layer, arrays: dict[str, np.ndarray]) -> None:
        """Fold the BatchNorm into the arrays of the layer, in float64, rounded once."""
        weight, norm = arrays["weight"], self.modules[layer.norm or ""]
        mean, var = (norm[field].astype(np.float64) for field in ("running_mean", "running_var"))
        scale = norm.get("weight", 1.0) / np.sqrt(var + (_epsilon(layer.node) or self.epsilon))
        if layer.node.op_type == "ConvTranspose":  # whose second axis is the outputs', for each group of the first
            groups = next((a.i for a in layer.node.attribute if a.name == "group"), 1)
            wide = np.repeat(scale.reshape(groups, -1), weight.shape[0] // groups, axis=0)
        else:
            wide = scale.reshape(-1, 1)
        arrays["weight"] = (weight * wide.reshape(*wide.shape, *(1,) * (weight.ndim - 2))).astype(weight.dtype)
        bias = (arrays.get("bias", 0.0) - mean) * scale + norm.get("bias", 0.0)
        arrays["bias"] = bias.astype(weight.dtype)

    def make_named(self) -> None:
        """Match all other inputs by name; an initializer that modules share is told apart by the scope."""
        for n, node in enumerate(self.nodes):
            scope = _scope(node)
            for i, name in enumerate(node.input):
                if name in self.tensors and (n, i) not in self.made:
                    own = _key(scope, name.rpartition(".")[2]) if scope is not None and "." in name else name
                    key = own if own in self.state else name
                    if key in self.state:
                        self.made[n, i] = self.state[key], Placement("", key)
                        self.used.add(key)

    def write(self) -> Iterator[Placement]:
        """Write the arrays into initializers; readers of one that get different arrays are given initializers of their own."""
        readers: dict[str, list[tuple[int, int]]] = {}
        for n, node in enumerate(self.nodes):
            for i, name in enumerate(node.input):
                readers.setdefault(name, []).append((n, i))
        owners: dict[str, Placement] = {}
        for name, places in readers.items():
            sources = [self.made[place][1] for place in places if place in self.made]
            if len(sources) == len(places):
                owners[name] = next((s for s in sources if s.source == name), sources[0])
        for key, array in self.state.items():
            if key in self.tensors and key not in readers:  # one that a graph in a node reads, or an output
                self.used.add(key)
                if self.agrees(key, array, self.tensors[key]):
                    _set(self.tensors[key], array)
                    yield Placement(key, key)
        names = {*self.tensors, *readers, *(name for node in self.nodes for name in node.output)}
        for (n, i), (array, placement) in self.made.items():
            node = self.nodes[n]
            name = node.input[i] if i < len(node.input) else ""
            tensor = self.tensors.get(name)
            if tensor is not None and not self.agrees(placement.source, array, tensor, _transposed(node, i)):
                continue
            if owners.get(name) != placement or tensor is None:
                like, dims = (self.tensors[node.input[1]], array.shape) if tensor is None else (tensor, tensor.dims)
                name = next(t for t in _numbered(placement.source) if t not in names)
                names.add(name)
                tensor = self.tensors[name] = self.graph.initializer.add(name=name, data_type=like.data_type, dims=dims)
                node.input[i : i + 1] = [name]
            _set(tensor, array.T if _transposed(node, i) else array)
            yield replace(placement, target=name)

    def agrees(self, key: str, array: np.ndarray, tensor: Any, transposed: bool = False) -> bool:
        """Whether the array has the tensor's dtype and shape; if not, an error is noted.

        Kernel axes of 1 may differ: Model.save writes a Linear as a 1×1 convolution, and a 1-D convolution as a 2-D one.
        """
        kind = DATA_TYPES.get(tensor.data_type)
        dims = tuple(tensor.dims)
        expected, got = (kind.numpy if kind else "?", dims[::-1] if transposed else dims), (array.dtype.name, array.shape)
        same = expected == got or (
            expected[0] == got[0] and len(dims) != array.ndim > 1 and _without_ones(dims) == _without_ones(array.shape)
        )
        if not same:
            self.wrong.append(f"{brief(key)}: expected {_text(*expected)}, got {_text(*got)}")
        return same


def _separate(graph: Any) -> None:
    """Replace each Identity of an initializer by a copy: torch uses them to share equal weights of several modules."""
    tensors = {t.name: t for t in graph.initializer}
    outputs = {"", *(v.name for v in graph.output)}
    for node in list(graph.node):
        source, name = ("".join(names[:1]) for names in (node.input, node.output))
        if node.op_type == "Identity" and source in tensors and name not in outputs:
            copy = graph.initializer.add()
            copy.CopyFrom(tensors[source])
            copy.name = name
            tensors[copy.name] = copy
            graph.node.remove(node)


def _set(tensor: Any, array: np.ndarray) -> None:
    for field in (*TENSOR_DATA, "external_data", "data_location"):
        tensor.ClearField(field)
    tensor.raw_data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def _ordered(state: Mapping[str, np.ndarray]) -> bool:
    """Whether the keys are in the order of the modules; a .safetensors file has them sorted within each dtype."""
    by_dtype: dict[np.dtype, list[str]] = {}
    for key, array in state.items():
        by_dtype.setdefault(array.dtype, []).append(key)
    return any(keys != sorted(keys) for keys in by_dtype.values())


def _transposed(node: Any, i: int) -> bool:
    """Whether the i-th input is the transposed weight of a torch.nn.Linear."""
    if i != 1 or node.op_type not in ("Gemm", "MatMul"):
        return False
    return not any(a.name == "transB" and a.i for a in node.attribute)


def _metadata(node: Any, key: str) -> str:
    return next((p.value for p in node.metadata_props if p.key == f"pkg.torch.onnx.{key}"), "")


def _scope(node: Any) -> str | None:
    """The module in torch's metadata of a node: the last but one of "['', 'layer1', 'layer1.0', 'conv2d']"."""
    names = re.findall("'([^']*)'", _metadata(node, "name_scopes"))
    return names[-2] if len(names) > 1 else None


def _epsilon(node: Any) -> float | None:
    """The epsilon of the BatchNorm in torch's metadata of a node: its last argument."""
    found = re.search(r"batch_norm.*, ([0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?)\), kwargs", _metadata(node, "fx_node"))
    return float(found[1]) if found else None


def _path(node: Any) -> str | None:
    """The module in a node's name: layer1.0.conv1 in "/layer1/layer1.0/conv1/Conv"."""
    first, *parts = node.name.split("/")
    if first or not parts:
        return None
    path: list[str] = []
    for part in parts[:-1]:
        if path and part.startswith(f"{path[-1]}."):  # an item of a Sequential repeats its name
            path.pop()
        path.append(part)
    return ".".join(path)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a layer's weights without kernel axes of 1."""
    return shape[:2] + tuple(d for d in shape[2:] if d != 1)


def _key(module: str | None, field: str) -> str:
    return f"{module}.{field}" if module else field


def _parent(module: str) -> str:
    return module.rpartition(".")[0]


def _stem(module: str) -> str:
    """The last part of a module's name without its kind: "1" for conv1 and bn1."""
    return re.sub("conv|batch_?norm|bn|norm", "", module.rpartition(".")[2])


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}.{k}" for k in itertools.count(1))


def _several(texts: Iterable[str]) -> str:
    return " or ".join(texts)


def _text(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype} {shape_text(shape)}"
