"""Summary: the table of a model's layers, from `model.summary()`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .explain import explain
from .graph import Node, Shape, Value, shape_text
from .ops.windows import Windows
from .plan import Plan, SplitPlan
from .plan.stages import Stage, reference_reason
from .plan.tensors import Entry
from .table import LayerTable, marked, scaled, shorten
from .weights import key_of


@dataclass(frozen=True)
class Layer:
    """A node with the nodes fused into it, or a reorder of a tensor.

    `params` counts weights and biases, `flops` a multiply-add as two. A layer that waits for sizes has no implementation, "",
    and None for its operations and `activation_bytes`.
    """

    name: str
    #: the operators, as "Conv+Relu", or "reorder"
    op: str
    #: what runs it
    implementation: str
    #: the shape of its first input
    input: Shape
    #: the shape of its first output
    output: Shape
    params: int
    multiply_adds: int | None
    flops: int | None
    #: kernel, strides, pads and dilations, in pixels
    window: Windows | None = None
    #: the groups of a convolution
    group: int = 1
    #: why it runs by reference; empty if it runs on a kernel
    reason: str = ""
    #: bytes of its results; 0 for a reorder, whose result is a copy
    activation_bytes: int | None = None
    #: why it computes floats where a quantized network has integers; empty if it does not
    in_floats: str = ""
    #: the lines of its arithmetic, with the numbers in place
    explanation: tuple[str, ...] = ()


def layer(entry: Entry) -> Layer:
    """The Layer of an entry of a plan, for all of its images."""
    if entry.node is not None:
        return layer_of(entry.node, entry.algorithm, entry.images, entry.reference_reason, entry.in_floats)
    (value,) = entry.writes
    dims = _whole(value.dims, entry.images)
    return Layer(value.name, "reorder", "copy", dims, dims, 0, 0, 0, activation_bytes=0)


def layer_of(node: Node, implementation: str, images: int = 1, reason: str = "", in_floats: str = "") -> Layer:
    """The Layer of a node, for `images` images."""
    first = next((v for v in node.inputs if v is not None), None)
    known = all(v.known for v in (*node.operands, *node.results))
    return Layer(
        node.label,
        node.operators,
        implementation,
        _whole(first.shape, images) if first is not None else (),
        _whole(node.results[0].shape, images),
        sum(v.constant.size for v in _parameters(node) if v.constant is not None),
        node.op.multiply_adds(node) * images if known else None,
        node.op.flops(node) * images if known else None,
        node.op.window(node),
        getattr(node.op, "group", 1),
        reason,
        images * sum(_bytes(v) for v in node.results) if known else None,
        in_floats,
        explain(node, images),
    )


def _bytes(value: Value) -> int:
    return math.prod(value.dims) * (value.dtype.itemsize if value.dtype else 0)


def _whole(dims: Shape, images: int) -> Shape:
    return (images * dims[0], *dims[1:]) if images > 1 and dims and isinstance(dims[0], int) else dims


def _parameters(node: Node) -> list[Value]:
    """The parameters of a node and those fused into it; of a quantized node, the integers that are stored."""
    stored = {n.results[0]: n.input(0) for n in node.prologue}
    return [stored.get(v, v) for n in node.chain[len(node.prologue) :] for v in n.op.parameters(n)]


def _axes(values: Sequence[int | None]) -> str:
    """One value for each axis: 3 if all are the same, else 3×1."""
    return shape_text(values[:1] if len(set(values)) == 1 else values)


def _pads(w: Windows) -> str:
    """The padding: 1 or 1×2 if each axis has as much before as after; 0+1 if all axes have 0 and 1; else as in a file."""
    if w.begin == w.end:
        return _axes(w.begin)
    borders = set(zip(w.begin, w.end, strict=True))
    return "+".join(map(str, *borders)) if len(borders) == 1 else ",".join(map(str, w.begin + w.end))


#: the columns of a summary, but for the last two; those that it always has; the first column of numbers
HEADER = ("layer", "operator", "by", "output", "kernel", "stride", "pad", "dilation", "group", "params")
ALWAYS, NUMBERS = ("layer", "operator", "output", "params"), "params"
#: the most characters in a line, if names of the least length allow it; the least and the most characters of a name
WIDTH, NAMES = 120, (12, 24)


def _row(x: Layer) -> tuple[str, ...]:
    w = x.window
    return (
        x.name,
        x.op,
        marked(x),
        shape_text(x.output),
        shape_text(w.kernel) if w else "",
        _axes(w.strides) if w else "",
        _pads(w) if w else "",
        _axes(w.dilations) if w and set(w.dilations) != {1} else "",
        str(x.group) if x.group != 1 else "",
        f"{x.params:,}",
    )


def _column(header: str, numbers: Sequence[int | None]) -> list[str]:
    """A header, in which {} stands for the prefix, and the numbers: in millions if one has a million, else in thousands."""
    size, prefix = (1e6, "M") if max((n or 0 for n in numbers), default=0) >= 1e6 else (1e3, "k")
    return [header.format(prefix), *("" if n is None else f"{n / size:,.2f}" for n in numbers)]


class Summary(LayerTable):
    """The layers of a model, from `Model.summary`. A REPL prints the table, str() of it, and a notebook shows it.

    `params` counts the weights and biases of all layers, each once even if layers share it; `weight_bytes` is their size.

    Parameters
    ----------
    inputs : sequence of tuple
        For each input its name, its shape in the file, and the shape that the summary is for.
    layers : sequence of Layer
        The layers, in the order they run.
    weights : iterable of Value
        The weights and biases of all layers.
    plan : Plan or SplitPlan, optional
        The plan of the layers; None if they wait for sizes.
    explain : bool
        Whether to show each layer's arithmetic.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.load(fastconv.data.DIGITS).summary().params
    13962
    """

    def __init__(
        self,
        inputs: Sequence[tuple[str, Shape, Shape]],
        layers: Sequence[Layer],
        weights: Iterable[Value],
        plan: Plan | SplitPlan | None = None,
        explain: bool = False,
    ):
        self.inputs: tuple[tuple[str, Shape, Shape], ...] = tuple(inputs)
        self.layers: tuple[Layer, ...] = tuple(layers)
        arrays = {key_of(v.constant): v.constant for v in weights if v.constant is not None}.values()
        self.params: int = sum(a.size for a in arrays)
        self.weight_bytes: int = sum(a.nbytes for a in arrays)
        self.isa: str | None = plan.target.kernels.isa if plan else None
        self.arena: int | None = plan.arena_size if plan else None
        self.explain = explain

    @classmethod
    def of_stage(
        cls, inputs: Sequence[tuple[str, Shape, Shape]], plan: Plan | SplitPlan, stage: Stage, explain: bool = False
    ) -> Summary:
        """The summary of the first stage's plan and of the nodes after it."""
        nodes = [e.node for e in plan.entries if e.node is not None]
        waiting = stage.rest.graph.nodes if stage.rest else []
        layers = list(map(layer, plan.entries))
        layers += [layer_of(n, "reference", reason=reference_reason(n)) for n in stage.data_dependent]
        layers += [layer_of(n, "") for n in waiting]
        weights = [v for n in (*nodes, *stage.data_dependent, *waiting) for v in _parameters(n)]
        return cls(inputs, layers, weights, plan, explain)

    @classmethod
    def of_nodes(cls, inputs: Sequence[tuple[str, Shape, Shape]], nodes: Sequence[Node], explain: bool = False) -> Summary:
        """The summary of nodes that wait for sizes."""
        return cls(inputs, [layer_of(n, "") for n in nodes], [v for n in nodes for v in _parameters(n)], explain=explain)

    def _entries(self) -> Sequence[Layer]:
        return self.layers

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one run."""
        return sum(x.multiply_adds or 0 for x in self.layers)

    @property
    def flops(self) -> int:
        """Floating point operations of one run, a multiply-add counted as two."""
        return sum(x.flops or 0 for x in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Bytes of the results of all layers. In the arena they share memory in turn, beside the workspaces of some layers."""
        return sum(x.activation_bytes or 0 for x in self.layers)

    def _head(self) -> str:
        """The shapes of the inputs."""
        return ", ".join(
            f"{shorten(name)} {shape_text(declared)}" + (f" as {shape_text(shape)}" if shape != declared else "")
            for name, declared, shape in self.inputs
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[str]], int]:
        """As in LayerTable; columns that are empty in every row are left out."""
        columns = [list(column) for column in zip(HEADER, *map(_row, self.layers), strict=True)]
        columns.append(_column("{}MAC", [x.multiply_adds for x in self.layers]))
        columns.append(_column("output {}B", [x.activation_bytes for x in self.layers]))
        names, *others = [c for c in columns if c[0] in ALWAYS or any(c[1:])]
        (least, most), room = NAMES, WIDTH - sum(2 + max(map(len, c)) for c in others)
        short = [shorten(name, max(least, min(room, most))) for name in names]
        header, *rows = zip(short, *others, strict=True)
        return header, rows, header.index(NUMBERS)

    def _notes(self) -> Sequence[Sequence[str]] | None:
        return [x.explanation for x in self.layers] if self.explain else None

    def _total(self) -> str:
        total = [f"{len(self.layers)} layers", f"{self.params:,} parameters ({scaled(self.weight_bytes, 'B')})"]
        if self.arena is None:
            total.append("not planned: give the open sizes (--shape, or shapes= in Python)")
        else:
            total += [scaled(self.multiply_adds, "MAC"), scaled(self.flops, "FLOP")]
            total += [f"activations {scaled(self.activation_bytes, 'B')} (arena {scaled(self.arena, 'B')})", f"{self.isa}"]
            if waiting := sum(x.flops is None for x in self.layers):
                total.append(f"{waiting} layers not counted: their sizes are known only as the network runs")
        return "\n".join([*(self._sums() if self.explain else ()), ", ".join(total)])

    def _sums(self) -> Iterator[str]:
        """The parameters and multiply-adds by operator, and their sums."""
        params, multiply_adds = Counter[str](), Counter[str]()
        for x in self.layers:
            params[x.op.partition("+")[0]] += x.params
            multiply_adds[x.op.partition("+")[0]] += x.multiply_adds or 0
        for what, by, total in (("parameters", params, self.params), ("multiply-adds", multiply_adds, self.multiply_adds)):
            terms = [f"{op} {count:,}" for op, count in by.items() if count]
            shared = [f"shared {by.total() - total:,}"] if by.total() > total else []
            if len(terms) + len(shared) > 1:
                yield f"{what}: {' − '.join([' + '.join(terms), *shared])} = {total:,}"

    def as_dict(self) -> dict[str, object]:
        """The table as a document for JSON.

        Returns
        -------
        dict
            Values that `json.dumps` takes; docs/command-line.md lists the keys.
        """
        planned = self.isa is not None
        return {
            "inputs": [{"name": n, "declared": declared, "shape": shape} for n, declared, shape in self.inputs],
            "isa": self.isa,
            "arena_bytes": self.arena,
            "parameters": self.params,
            "parameter_bytes": self.weight_bytes,
            "multiply_adds": self.multiply_adds if planned else None,
            "flops": self.flops if planned else None,
            "activation_bytes": self.activation_bytes if planned else None,
            "layers": [
                {
                    "name": x.name,
                    "operator": x.op,
                    "by": x.implementation or None,
                    "reason": x.reason or None,
                    "in_floats": x.in_floats or None,
                    "input": x.input,
                    "output": x.output,
                    "kernel": x.window and x.window.kernel,
                    "strides": x.window and x.window.strides,
                    "pads": x.window and x.window.begin + x.window.end,
                    "dilations": x.window and x.window.dilations,
                    "group": x.group,
                    "parameters": x.params,
                    "multiply_adds": x.multiply_adds,
                    "flops": x.flops,
                    "activation_bytes": x.activation_bytes,
                    "explanation": x.explanation,
                }
                for x in self.layers
            ],
        }


__all__ = ["Layer", "Summary", "layer"]
