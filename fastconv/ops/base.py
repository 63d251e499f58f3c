"""What an operator is: its attributes, its shape rule and its reference.

A subclass of Op registers by being defined; REGISTRY of `fastconv.ops` has those of every module of the folder. Its class body
declares the ONNX attributes as annotated fields with their defaults:

    class LeakyRelu(Op):
        alpha: float = 0.01

        def infer(self, x):
            return [(x.shape, x.dtype)]

        def reference(self, x):
            return np.where(x < 0, self.alpha * x, x)

Operators have one form, the newest one of the standard. `upgrade` turns the forms of older opsets into it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..activation import Activation
from ..errors import ModelError, UnsupportedError
from ..graph import Graph, Node, Shape, Value, node_label

if TYPE_CHECKING:
    from .scale_shift import ScaleShift
    from .windows import Windows

#: every operator that was imported, by name; its attributes are keywords, so its type is open to the checker
REGISTRY: dict[str, Any] = {}

# How a field's annotation reads an attribute's value.
INT, FLOAT, STRING = "int", "float", "str"
INTS, FLOATS, STRINGS = "tuple[int, ...]", "tuple[float, ...]", "tuple[str, ...]"
TENSOR, SUBGRAPH = "np.ndarray", "Subgraph"


@dataclass
class NodeSpec:
    """A node as the file has it, before its Op is made: what `Op.upgrade` may rewrite."""

    op_type: str
    attributes: dict[str, Any]
    inputs: list[Value | None]
    outputs: list[Value | None]
    opset: int
    name: str = ""
    where: str = ""

    def input(self, i: int) -> Value | None:
        """Input i, or None where it is left out."""
        return self.inputs[i] if i < len(self.inputs) else None

    def take(self, attribute: str, kind: str, default: Any = None) -> Any:
        """Remove an attribute of older opsets and return its value, read as `kind`; the default where it is left out."""
        if attribute not in self.attributes:
            return default
        value = self.attributes.pop(attribute)
        if (taken := _read(kind, value)) is None:
            raise ModelError(f"attribute {attribute!r} should be {kind}, not {value!r:.60}")
        return taken

    def attribute_to_input(self, attribute: str, i: int, kind: str = INTS, dtype: Any = np.int64) -> None:
        """Older opsets had it as an attribute, newer ones have it as input i."""
        value = self.take(attribute, kind)
        if value is None:
            return
        while len(self.inputs) <= i:
            self.inputs.append(None)
        array = np.asarray(value, dtype)
        self.inputs[i] = Value(f"{node_label(self.name, self.outputs)}.{attribute}", constant=array)


class Op:
    """One operator of the standard; see the module's docstring. Instances are immutable."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    domain: ClassVar[str] = ""
    #: least and most inputs and outputs; None is "any number"
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    results: ClassVar[tuple[int, int | None]] = (1, 1)
    #: the inputs that say how to compute, rather than what with: a plan is made for their elements, and so are shapes
    how: ClassVar[tuple[int, ...]] = ()
    #: the inputs that training finds where they are constants: weights, biases, slopes, tables of embeddings
    learned: ClassVar[tuple[int, ...]] = ()
    #: whether it takes strings and sequences, which only references compute with
    takes_objects: ClassVar[bool] = False
    #: whether the implementations apply an activation in their store: the node's epilogue
    takes_epilogue: ClassVar[bool] = False
    #: whether that epilogue may begin with an Add of another tensor of the result's shape
    takes_residual: ClassVar[bool] = False
    #: the axis of the result along which the weights and the bias have their entries: -1 for matrix products
    channel_axis: ClassVar[int] = 1

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__doc__ = cls.__doc__ or cls.__name__  # dataclass would spell out its signature
        dataclass(init=False, repr=False, eq=False)(cls)  # which generates no methods: that is slow
        if not abstract:
            REGISTRY[cls.key()] = cls

    def __init__(self, **attributes: Any) -> None:
        for f in dataclasses.fields(self):
            value = attributes.pop(f.name, f.default)
            if value is dataclasses.MISSING:
                raise TypeError(f"{type(self).__name__}: attribute {f.name!r} is missing")
            self.__dict__[f.name] = value
        if attributes:
            raise TypeError(f"{type(self).__name__} has no attribute {next(iter(attributes))!r}")
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check the attributes: ModelError for what no node may have."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"{type(self).__name__} is immutable")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.params})"

    @classmethod
    def key(cls) -> str:
        """The name in the registry: `Conv`, or `domain::Name` outside the standard's own domain."""
        return f"{cls.domain}::{cls.__name__}" if cls.domain else cls.__name__

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        """Rewrite a node of an older opset to the newest form; setting `spec.op_type` hands it to another Op."""

    def infer(self, *inputs: Any) -> Sequence[tuple[Shape, Any]]:
        """(shape, dtype) of each output from the input Values; ModelError where they cannot be right."""
        raise NotImplementedError(type(self).__name__)

    def reference(self, *inputs: Any) -> Any:
        """The outputs (one array, or a tuple) from the input arrays, computed in their dtype by obvious NumPy."""
        raise NotImplementedError(type(self).__name__)

    def compute(self, *inputs: Any) -> Any:
        """What `reference` gives, as calls compute it that no kernel takes: faster, where that is no step of a plan."""
        return self.reference(*inputs)

    def by_image(self, node: Node) -> bool:
        """Whether it computes each image from that image alone: axis 0 of all that is no constant has the images."""
        return False

    def is_identity(self, node: Node) -> bool:
        """Whether outputs[0], without the epilogue, always equals inputs[0]."""
        return False

    def selects_elements(self, node: Node) -> bool:
        """Whether every element of outputs[0] is an element of inputs[0], chosen by place or order alone."""
        return False

    def as_scale_shift(self, node: Node, axis: int) -> ScaleShift | None:
        """The node, without its epilogue, as scale and shift of each index of an axis of the result; None where it is none."""
        return None

    def weight_axis(self, node: Node) -> int | None:
        """The axis of inputs[1] along which a factor scales the channels of the result; None where there is none."""
        return None

    def placeholders(self, node: Node) -> dict[Value, np.ndarray]:
        """Arrays that can replace computed inputs of which only the shape or the dtype is read, where that is known."""
        return {}

    def activation(self, node: Node) -> Activation | None:
        """The Activation this node with its epilogue is, where it is one: a function of inputs[0] alone, element by element."""
        return None

    def parameters(self, node: Node) -> list[Value]:
        """The constants that training found, as far as the graph shows: none of bounds, axes, sizes, indices, statistics."""
        given = [v for i in self.learned for v in node.inputs[i : i + 1] if v is not None and v.constant is not None]
        return [v for v in given if not _is_spread(v.constant)]

    def multiply_adds(self, node: Node) -> int:
        """How many products it sums up, where that is what it does."""
        return 0

    def flops(self, node: Node) -> int:
        """Floating point operations, a multiply-add counted as two; one an element of the result where no rule is known."""
        return 2 * self.multiply_adds(node) or math.prod(node.results[0].dims)

    def window(self, node: Node) -> Windows | None:
        """The windows that slide over inputs[0], where there are any and their kernel is known."""
        return None

    def attributes(self) -> dict[str, Any]:
        """The attributes that differ from their defaults, as the file has them."""
        out = {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if value is not None and not (f.default is not dataclasses.MISSING and _same(value, f.default)):
                out[f.name] = value
        return out

    @property
    def params(self) -> str:
        """The attributes as tables and dumps print them: `strides=(2, 2) group=32`."""
        return " ".join(f"{k}={v}" for k, v in self.attributes().items() if not isinstance(v, np.ndarray | Graph))


def _is_spread(array: Any) -> bool:
    """Whether it is one number that stands for all elements."""
    return isinstance(array, np.ndarray) and array.size > 1 and array.strides == (0,) * array.ndim


def keeps_shape(node: Node) -> bool:
    """Whether outputs[0] is known to have the shape and dtype of inputs[0]."""
    x, y = node.input(0), node.outputs[0]
    return y is not None and x.shape is not None and None not in x.shape and (x.shape, x.dtype) == (y.shape, y.dtype)


def only_first_varies(node: Node) -> bool:
    """Whether all inputs but the first are constants."""
    return all(v is None or v.constant is not None for v in node.inputs[1:])


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and not isinstance(a, np.ndarray) and a == b


def _read(kind: str, value: Any) -> Any:
    """An attribute's value as its field's type; None where it does not fit."""
    kind = kind.removesuffix(" | None")
    if kind == TENSOR:
        return value if isinstance(value, np.ndarray) else None
    if kind == SUBGRAPH:
        return value if isinstance(value, Graph) else None
    if kind in (INTS, FLOATS, STRINGS):
        item = {INTS: INT, FLOATS: FLOAT, STRINGS: STRING}[kind]
        if not isinstance(value, list | tuple):
            return None
        items = tuple(_read(item, v) for v in value)
        return None if any(v is None for v in items) else items
    if kind == INT:
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if kind == FLOAT:
        return value if isinstance(value, float) else None
    return value if isinstance(value, str) else None


def make_node(spec: NodeSpec) -> Node:
    """The Node of a node in a file: upgraded, its attributes and arity checked. ModelError and UnsupportedError name it."""

    def error(kind: type[ModelError], message: str) -> ModelError:
        label = node_label(spec.name, spec.outputs)
        return kind(f"node {label!r} ({spec.op_type}){f' at {spec.where}' if spec.where else ''}: {message}")

    seen = set()
    spec.attributes.pop("consumed_inputs", None)  # before opset 6 a hint about memory, without a meaning for the result
    while True:
        cls = REGISTRY.get(spec.op_type)
        if cls is None:
            raise error(UnsupportedError, "operator not supported")
        if spec.op_type in seen:
            break
        seen.add(spec.op_type)
        try:
            cls.upgrade(spec)
        except ModelError as e:
            raise error(type(e), str(e)) from None
    for what, given, (least, most) in (("inputs", spec.inputs, cls.arity), ("outputs", spec.outputs, cls.results)):
        present = len(given)
        while present and given[present - 1] is None:
            present -= 1
        if present < least or (most is not None and present > most):
            bounds = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            raise error(ModelError, f"has {present} {what}, expected {bounds}")
        if any(v is None for v in given[:least]):
            raise error(ModelError, f"a required one of its {what} is left out")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    values = {}
    for name, value in spec.attributes.items():
        if name not in fields:
            raise error(UnsupportedError, f"attribute {name!r} is not known in this operator")
        values[name] = _read(str(fields[name].type), value)
        if values[name] is None:
            raise error(ModelError, f"attribute {name!r} should be {fields[name].type}, not {value!r:.60}")
    missing = [n for n, f in fields.items() if f.default is dataclasses.MISSING and n not in values]
    if missing:
        raise error(ModelError, f"attribute {missing[0]!r} is missing")
    try:
        op = cls(**values)
    except ModelError as e:
        raise error(type(e), str(e)) from None
    return Node(op, spec.inputs, spec.outputs, spec.name, spec.where)


__all__ = ["REGISTRY", "NodeSpec", "Op", "keeps_shape", "make_node", "only_first_varies"]
