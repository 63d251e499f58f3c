"""How the operators are computed: for each, its implementations, best first.

A plan takes the first one that does not refuse a node. An operator that is not here, or whose implementations all refuse, runs
its reference.
"""

from __future__ import annotations

from ..ops.arg_max import ArgMax
from ..ops.average_pool import AveragePool
from ..ops.base import REGISTRY, Op
from ..ops.binary import (
    Add,
    And,
    Div,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Max,
    Min,
    Mod,
    Mul,
    Or,
    PRelu,
    Sub,
    Sum,
    Where,
    Xor,
)
from ..ops.cast import Cast
from ..ops.concat import Concat
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..ops.depth_to_space import DepthToSpace, SpaceToDepth
from ..ops.dropout import Dropout
from ..ops.einsum import Einsum
from ..ops.elementwise import (
    Abs,
    Clip,
    Elu,
    Erf,
    Exp,
    Gelu,
    HardSigmoid,
    HardSwish,
    Identity,
    IsNaN,
    LeakyRelu,
    Mish,
    Neg,
    Not,
    Reciprocal,
    Relu,
    Sigmoid,
    Softplus,
    Sqrt,
    Swish,
    Tanh,
)
from ..ops.expand import Expand
from ..ops.gather import Gather
from ..ops.gather_elements import GatherElements
from ..ops.gemm import Gemm
from ..ops.global_pool import GlobalAveragePool, GlobalMaxPool
from ..ops.matmul import MatMul
from ..ops.max_pool import MaxPool
from ..ops.normalization import GroupNormalization, InstanceNormalization, LayerNormalization
from ..ops.pad import Pad
from ..ops.quantize import DequantizeLinear, QuantizeLinear
from ..ops.recurrent import GRU, LSTM, RNN
from ..ops.reduce import ReduceL1, ReduceL2, ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum, ReduceSumSquare
from ..ops.reshape import Flatten, Reshape, Squeeze, Unsqueeze
from ..ops.resize import Resize
from ..ops.slice import Slice
from ..ops.softmax import LogSoftmax, Softmax
from ..ops.split import Split
from ..ops.top_k import TopK
from ..ops.transpose import Transpose
from ..plan.implementation import AnyImplementation
from .cast import CastRowMajor
from .concat import ConcatBlocked, ConcatRowMajor
from .conv_depthwise import ConvDepthwise
from .conv_depthwise_int8 import ConvDepthwiseInt8
from .conv_direct import ConvDirect, ConvFirst, ConvPointwise
from .conv_groups import ConvGroups
from .conv_im2col import ConvIm2col
from .conv_int8 import ConvFirstInt8, ConvInt8, ConvPointwiseInt8
from .conv_phases import ConvPhases
from .conv_winograd import ConvWinograd
from .depth_to_space import DepthToSpaceRowMajor
from .elementwise import ActivationBlocked, ActivationRowMajor, ElementwiseBlocked, ElementwiseRowMajor
from .elementwise_int8 import ElementwiseInt8, ElementwiseInt8RowMajor
from .elementwise_typed import Comparison, IntegerArithmetic, IntegerClip, IntegerDivision, Logic, WhereRowMajor
from .expand import ExpandRowMajor
from .gather import GatherElementsRowMajor, GatherRowMajor
from .gemm_int8 import GemmInt8, GemmInt8Floats
from .gemm_packed import GemmPacked
from .gemm_strided import EinsumStrided, GemmStrided
from .group_norm import GroupNormBlocked, GroupNormRowMajor
from .layer_norm import LayerNormBlocked, LayerNormRowMajor
from .max_pool_row_major import MaxPoolRowMajor
from .pad import PadBlocked, PadRowMajor
from .pool import AveragePoolBlocked, GlobalPoolBlocked, MaxPoolBlocked, ReducePlanesBlocked
from .pool_int8 import AveragePoolInt8, GlobalAveragePoolInt8, MaxPoolInt8, ReducePlanesInt8
from .quantize import QuantizeBlocked, QuantizeFirst, QuantizeRowMajor
from .recurrent import RecurrentRowMajor
from .reduce import ReduceIntegers, ReduceRowMajor
from .resize import ResizeBlocked, ResizeInt8
from .resize_nearest import ResizeNearest, ResizeNearestInt8
from .same_memory import CastInPlace, DropoutInPlace, SameMemory, TransposeInPlace
from .slice import SliceBlocked, SliceRowMajor
from .softmax import SoftmaxRowMajor
from .split import SplitBlocked, SplitRowMajor
from .table import Table, TableRowMajor
from .top_k import ArgMaxRowMajor, TopKRowMajor
from .transpose import TransposeBlocked, TransposeRowMajor


def elementwise(function: str) -> tuple[AnyImplementation, ...]:
    """A function of one or two tensors, by its name in the kernel elementwise."""
    return ElementwiseBlocked(function), ElementwiseRowMajor(function)


ACTIVATION = (ActivationBlocked(), ActivationRowMajor())
GEMM = (GemmPacked(), GemmStrided(), GemmInt8(), GemmInt8Floats())
ELEMENTWISE_INT8 = (ElementwiseInt8(), ElementwiseInt8RowMajor())
GROUP_NORM = (GroupNormBlocked(), GroupNormRowMajor())
QUANTIZE = (QuantizeBlocked(), QuantizeRowMajor())

CONV_INT8 = (ConvDepthwiseInt8(), ConvFirstInt8(), ConvPointwiseInt8(), ConvInt8())

IMPLEMENTATIONS: dict[type[Op], tuple[AnyImplementation, ...]] = {
    # convolutions
    Conv: (ConvFirst(), ConvDepthwise(), ConvPointwise(), ConvWinograd(), ConvDirect(), ConvIm2col(), ConvGroups(), *CONV_INT8),
    ConvTranspose: (ConvPhases(),),
    # products of matrices
    Gemm: GEMM,
    MatMul: GEMM,
    Einsum: (EinsumStrided(),),
    RNN: (RecurrentRowMajor(),),
    GRU: (RecurrentRowMajor(),),
    LSTM: (RecurrentRowMajor(),),
    # pools
    MaxPool: (MaxPoolBlocked(), MaxPoolInt8(), MaxPoolRowMajor()),
    AveragePool: (AveragePoolBlocked(), AveragePoolInt8()),
    GlobalMaxPool: (GlobalPoolBlocked("max_pool"),),
    GlobalAveragePool: (GlobalPoolBlocked("average_pool"), GlobalAveragePoolInt8("average_pool")),
    # normalizations
    InstanceNormalization: GROUP_NORM,
    GroupNormalization: GROUP_NORM,
    LayerNormalization: (LayerNormBlocked(), LayerNormRowMajor()),
    Softmax: (SoftmaxRowMajor(),),
    LogSoftmax: (SoftmaxRowMajor(),),
    # activations
    Clip: (*ACTIVATION, IntegerClip()),
    Elu: ACTIVATION,
    HardSigmoid: ACTIVATION,
    HardSwish: ACTIVATION,
    LeakyRelu: ACTIVATION,
    Relu: ACTIVATION,
    Sigmoid: ACTIVATION,
    Softplus: ACTIVATION,
    Swish: ACTIVATION,
    Tanh: ACTIVATION,
    # functions of each element
    Abs: (*elementwise("abs"), IntegerArithmetic("abs", (0, 0))),
    Erf: elementwise("erf"),
    Exp: elementwise("exp"),
    Gelu: elementwise("gelu"),
    Mish: elementwise("mish"),
    IsNaN: (Comparison("not_equal", (0, 0)),),
    Neg: (*elementwise("neg"), IntegerArithmetic("sub", (None, 0))),
    Not: (Comparison("equal", (0, None)),),
    Reciprocal: elementwise("reciprocal"),
    Sqrt: elementwise("sqrt"),
    # functions of two elements
    Add: (*elementwise("add"), IntegerArithmetic("add"), *ELEMENTWISE_INT8),
    Sub: (*elementwise("sub"), IntegerArithmetic("sub")),
    Mul: (*elementwise("mul"), IntegerArithmetic("mul"), *ELEMENTWISE_INT8),
    Div: (*elementwise("div"), IntegerDivision("div")),
    Mod: (IntegerDivision("mod"),),
    PRelu: elementwise("prelu"),
    Sum: (*elementwise("add"), IntegerArithmetic("add")),
    Min: (*elementwise("min"), IntegerArithmetic("min")),
    Max: (*elementwise("max"), IntegerArithmetic("max")),
    # comparisons and masks
    Equal: (Comparison("equal"),),
    Greater: (Comparison("less", (1, 0)),),
    GreaterOrEqual: (Comparison("less_or_equal", (1, 0)),),
    Less: (Comparison("less"),),
    LessOrEqual: (Comparison("less_or_equal"),),
    And: (Logic("and"),),
    Or: (Logic("or"),),
    Xor: (Logic("xor"),),
    Where: (WhereRowMajor(),),
    # reductions
    ReduceSum: (ReduceRowMajor("sum"), ReduceIntegers("sum")),
    ReduceMean: (ReducePlanesBlocked("average_pool"), ReduceRowMajor("mean"), ReducePlanesInt8("average_pool")),
    ReduceMax: (ReducePlanesBlocked("max_pool"), ReduceRowMajor("max"), ReduceIntegers("max")),
    ReduceMin: (ReduceRowMajor("min"), ReduceIntegers("min")),
    ReduceProd: (ReduceRowMajor("prod"), ReduceIntegers("prod")),
    ReduceL1: (ReduceRowMajor("sum_abs"),),
    ReduceL2: (ReduceRowMajor("l2"),),
    ReduceSumSquare: (ReduceRowMajor("sum_square"),),
    ArgMax: (ArgMaxRowMajor(),),
    TopK: (TopKRowMajor(),),
    # element types
    Cast: (CastInPlace(), CastRowMajor()),
    QuantizeLinear: (*ACTIVATION, QuantizeFirst(), *QUANTIZE),
    DequantizeLinear: QUANTIZE,
    # moves of elements
    Concat: (ConcatBlocked(), ConcatRowMajor()),
    DepthToSpace: (DepthToSpaceRowMajor(),),
    SpaceToDepth: (DepthToSpaceRowMajor(),),
    Dropout: (DropoutInPlace(),),
    Expand: (ExpandRowMajor(),),
    Flatten: (SameMemory(),),
    Gather: (GatherRowMajor(),),
    GatherElements: (GatherElementsRowMajor(),),
    Identity: (SameMemory(),),
    Pad: (PadBlocked(), PadRowMajor()),
    Reshape: (SameMemory(),),
    Resize: (ResizeInt8(), ResizeBlocked(), ResizeNearestInt8(), ResizeNearest()),
    Slice: (SliceBlocked(), SliceRowMajor()),
    Split: (SplitBlocked(), SplitRowMajor()),
    Squeeze: (SameMemory(),),
    Transpose: (TransposeInPlace(), TransposeBlocked(), TransposeRowMajor()),
    Unsqueeze: (SameMemory(),),
}
# functions of the elements of one quantized tensor
TABLE = (Table(), TableRowMajor())
IMPLEMENTATIONS |= {op: (*IMPLEMENTATIONS.get(op, ()), *TABLE) for op in REGISTRY.values() if op.by_element}

__all__ = ["IMPLEMENTATIONS"]
