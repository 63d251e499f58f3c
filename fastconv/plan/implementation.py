"""Implementation: what a plan asks of each way to compute an operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from ..graph import Node, Value
from .layout import Halo, Layout

if TYPE_CHECKING:
    from ..ops.base import Op
    from .binder import Binder, Step
    from .select import Selection, Target
    from .tensors import Tensor

#: the type of the operators
OpT = TypeVar("OpT", bound="Op")


class Implementation(Generic[OpT]):
    """A way to compute operators of one type with the kernels of one instruction set.

    A plan calls its methods in this order: `refusal`, `time_share`, `layouts`, `halo`, `alias`, `workspace` and `bind`. An
    implementation has no state of a node: the same object serves all nodes and plans.
    """

    #: unique among the implementations of an operator; plans, tests and benches tell them apart by it
    name: ClassVar[str]
    #: the dtypes of the tensors that `operands` names; None: any
    dtypes: ClassVar[frozenset[str] | None] = frozenset({"float32"})
    #: the ranks of inputs[0]; None: any
    ranks: ClassVar[Sequence[int] | None] = None
    #: whether it computes quantized nodes, from integers to integers, and no others
    quantized: ClassVar[bool] = False
    #: whether tensors without elements are taken
    takes_empty: ClassVar[bool] = False
    #: whether it multiplies less than the definition, which `Op.flops` counts
    fewer_products: ClassVar[bool] = False

    def op(self, node: Node) -> OpT:
        """The node's operator, with its type."""
        return cast(OpT, node.op)

    def operands(self, node: Node) -> list[Value]:
        """The inputs that a kernel reads as tensors, rather than as packed weights or sizes."""
        return [node.input(0)]

    def other_dtype(self, node: Node) -> str | None:
        """The first dtype of the operands that it does not take."""
        found = (str(v.dtype) for v in self.operands(node))
        return None if self.dtypes is None else next((dtype for dtype in found if dtype not in self.dtypes), None)

    def refusal(self, node: Node, selection: Selection) -> str | None:
        """Why this implementation cannot compute the node; None if it can."""
        operands = self.operands(node)
        if all(v.constant is not None for v in operands):
            return "constant input"
        if (other := self.other_dtype(node)) is not None:
            return f"dtype {other}"
        if self.ranks is not None and len(operands[0].dims) not in self.ranks:
            return f"rank {len(operands[0].dims)}"
        if not self.takes_empty and any(0 in v.dims for v in (*operands, *node.results)):
            return "empty tensor"
        return self.refuse(node, selection)

    def refuse(self, node: Node, selection: Selection) -> str | None:
        """What `refusal` says of a node whose operands fit `dtypes` and `ranks`."""
        return None

    def time_share(self, node: Node, target: Target) -> float:
        """Its estimated time by that of the implementations behind it in the price list; 0 if it is always faster."""
        return 0.0

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        """The layout wanted for each operand that is not packed when the plan is made, and the layout of the results."""
        raise NotImplementedError

    def halo(self, node: Node) -> Halo:
        """The halo that the first of the operands must have."""
        return ()

    def halo_value(self, node: Node) -> int:
        """The byte that fills this halo."""
        return 0

    def alias(self, node: Node, reads: dict[Value, Tensor], writes: dict[Value, Tensor]) -> None:
        """Let tensors share memory where that saves a copy: a result inside an input, or an input inside the result."""

    def products(self, node: Node, target: Target) -> str:
        """The kind of its products, one of fastconv/peak.py: their peak is its limit."""
        return "floats"

    def workspace(self, node: Node, target: Target) -> int:
        """Bytes of scratch memory that the steps need while they run."""
        return 0

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        """The steps that compute the node."""
        raise NotImplementedError


#: an implementation of some operator
AnyImplementation = Implementation[Any]
