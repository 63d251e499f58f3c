"""Op, the base of operators: attributes, shape rule, reference, and what passes and reports ask about a node.

Defining a subclass of Op registers it in REGISTRY; `fastconv.ops` imports every module of the folder. The class body declares
the attributes of the standard as annotated fields with their defaults:

    class LeakyRelu(Op):
        alpha: float = 0.01

        def infer(self, x: Value) -> Inferred:
            return [(x.shape, x.dtype)]

        def reference(self, x: Array) -> Results:
            return np.where(x < 0, self.alpha * x, x)

Each operator has one form, the newest one of the standard. `upgrade` rewrites nodes of older opsets to it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..activation import Activation
from ..graph import Graph, Node, Shape, Value
from .span import Spans, broadcast_spans, everything

if TYPE_CHECKING:
    from .node_spec import NodeSpec
    from .products import Products
    from .scale_shift import ScaleShift
    from .windows import Windows

#: (shape, dtype) of each output
Inferred = Sequence[tuple[Shape, np.dtype | None]]
#: an input of a reference
Array = np.ndarray
#: the return value of a reference, one array or a tuple of them: Any, as most of NumPy's functions are typed
Results = Any

#: every operator that was imported, by `Op.key`
REGISTRY: dict[str, type[Op]] = {}


#: reads a class's annotations as fields; to generate methods is slow
as_fields = dataclass(init=False, repr=False, eq=False)


@as_fields
class Op:
    """An operator; see the module's docstring. Instances are immutable."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    domain: ClassVar[str] = ""
    #: least and greatest number of inputs, and of outputs; None: any number
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    output_arity: ClassVar[tuple[int, int | None]] = (1, 1)
    #: whether no input may be left out: those of an operator on any number of tensors
    needs_all: ClassVar[bool] = False
    #: the inputs that control the computation, such as a shape or axes: shapes and plans are made for their elements
    control_inputs: ClassVar[tuple[int, ...]] = ()
    #: the inputs that are trained parameters if they are constant: weights, biases, slopes, tables of embeddings
    parameter_inputs: ClassVar[tuple[int, ...]] = ()
    #: whether inputs may be strings and sequences, which only references compute with
    takes_objects: ClassVar[bool] = False
    #: whether an element of a result is computed from the elements at its place in the inputs, which are broadcast
    by_element: ClassVar[bool] = False
    #: whether it makes floats of the integers that represent them, or integers of floats
    converts: ClassVar[bool] = False
    #: whether a following activation may be fused into the node, as its epilogue
    takes_epilogue: ClassVar[bool] = False
    #: whether that epilogue may begin with an Add of another tensor of the result's shape
    takes_residual: ClassVar[bool] = False
    #: the axis of the result that is the channels, to which weights and bias belong: -1 for matrix products
    channel_axis: ClassVar[int] = 1

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__doc__ = cls.__doc__ or cls.__name__  # else dataclass writes the signature there
        if "__annotations__" in cls.__dict__:  # else it has its base's fields
            as_fields(cls)
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
        """Check the attributes; ModelError if a value is invalid."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"{type(self).__name__} is immutable")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.params})"

    @classmethod
    def key(cls) -> str:
        """The name in REGISTRY: `Conv`, or `domain::Name` if the domain is not the standard's."""
        return f"{cls.domain}::{cls.__name__}" if cls.domain else cls.__name__

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        """Rewrite a node of an older opset to the newest form; setting `spec.op_type` makes it a node of another Op."""

    def infer(self, *inputs: Any) -> Inferred:
        """(shape, dtype) of each output for the input Values; ModelError if no tensors can have them."""
        raise NotImplementedError(type(self).__name__)

    def reference(self, *inputs: Any) -> Results:
        """The outputs (one array, or a tuple) for the input arrays, in their dtype: the definition, in obvious NumPy."""
        raise NotImplementedError(type(self).__name__)

    def compute(self, *inputs: Any) -> Results:
        """The same as `reference`, faster if that is slow: for a node that no implementation takes."""
        return self.reference(*inputs)

    def independent_images(self, node: Node) -> bool:
        """Whether each image of a batch is computed from that image alone: axis 0 of every computed operand is the images'."""
        return False

    def is_identity(self, node: Node) -> bool:
        """Whether outputs[0], without the epilogue, equals inputs[0]."""
        return False

    def selects_elements(self, node: Node) -> bool:
        """Whether every element of outputs[0] is an element of inputs[0], chosen by place or order alone."""
        return False

    def as_scale_shift(self, node: Node, axis: int) -> ScaleShift | None:
        """The node, without its epilogue, as a scale and shift for each index of an axis; None if it is not one."""
        return None

    def weight_axis(self, node: Node) -> int | None:
        """The axis of inputs[1] along which a factor scales the channels of the result; None if there is none."""
        return None

    def placeholders(self, node: Node) -> dict[Value, np.ndarray]:
        """Arrays to compute with in place of inputs of which only the shape or the dtype is read, if that is known."""
        return {}

    def activation(self, node: Node) -> Activation | None:
        """The node with its epilogue, as a function of each element of inputs[0]; None if kernels do not have it."""
        return None

    def parameters(self, node: Node) -> list[Value]:
        """The constants that are trained parameters, as far as the graph shows: no bounds, axes, sizes, indices, statistics."""
        given = [v for i in self.parameter_inputs for v in node.inputs[i : i + 1] if v is not None and v.constant is not None]
        return [v for v in given if not _is_spread(v.constant)]

    def products(self, node: Node) -> Products | None:
        """The factors of `multiply_adds`, by which a layer is explained; None if there are none."""
        return None

    def multiply_adds(self, node: Node) -> int:
        """The multiply-adds of an operator that sums products; else 0."""
        return 0 if (products := self.products(node)) is None else products.total

    def flops(self, node: Node) -> int:
        """Floating-point operations, a multiply-add counted as two; without a rule, one for each element of the result."""
        return 2 * self.multiply_adds(node) or math.prod(node.results[0].dims)

    def window(self, node: Node) -> Windows | None:
        """The windows that slide over inputs[0]; None if there are none or their kernel is unknown."""
        return None

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        """The elements of inputs[i] that the elements `spans` of `result` are computed from; all, without a rule.

        It is asked where all shapes are known and control inputs are constant, and not about control inputs.
        """
        return broadcast_spans(node.input(i), result, spans) if self.by_element else everything(node.input(i))

    def attributes(self) -> dict[str, Any]:
        """The attributes that differ from their defaults, as a file lists them."""
        out = {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if value is not None and not (f.default is not dataclasses.MISSING and _same(value, f.default)):
                out[f.name] = value
        return out

    @property
    def params(self) -> str:
        """The attributes, printed for tables and dumps: `strides=(2, 2) group=32`."""
        return " ".join(f"{k}={v}" for k, v in self.attributes().items() if not isinstance(v, np.ndarray | Graph))


def _is_spread(array: Any) -> bool:
    """Whether it is one number, broadcast to an array."""
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


__all__ = ["REGISTRY", "Array", "Inferred", "Op", "Results", "keeps_shape", "only_first_varies"]
