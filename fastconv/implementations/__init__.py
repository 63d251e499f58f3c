"""How the operators are computed: for each, its implementations, best first.

A plan takes the first one that does not refuse a node. An operator that is not here, or whose implementations all refuse, runs
its reference.
"""

from __future__ import annotations

from ..ops.arg_max import ArgMax
from ..ops.average_pool import AveragePool
from ..ops.base import Op
from ..ops.binary import Add, Div, Max, Min, Mul, PRelu, Sub, Sum
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
    LeakyRelu,
    Mish,
    Neg,
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
from ..plan.implementation import Implementation
from .cast import CastInPlace, CastPlain
from .concat import ConcatBlocked, ConcatPlain
from .conv_depthwise import ConvDepthwise
from .conv_direct import ConvDirect, ConvFirst, ConvPointwise
from .conv_im2col import ConvIm2col
from .conv_phases import ConvPhases
from .conv_winograd import ConvWinograd
from .depth_to_space import BlocksPlain
from .elementwise import ActivationBlocked, ActivationPlain, ElementwiseBlocked, ElementwisePlain
from .expand import ExpandPlain
from .gather import GatherPlain
from .gemm_packed import GemmPacked
from .gemm_strided import EinsumStrided, GemmStrided
from .group_norm import GroupNormBlocked, GroupNormPlain
from .layer_norm import LayerNormBlocked, LayerNormPlain
from .pad import PadBlocked, PadPlain
from .pool import (
    AveragePoolBlocked,
    GlobalAveragePoolBlocked,
    GlobalMaxPoolBlocked,
    MaxPoolBlocked,
    ReduceMaxBlocked,
    ReduceMeanBlocked,
)
from .quantize import QuantizePlain
from .recurrent import RecurrentPlain
from .reduce import ReducePlain
from .resize import ResizeBlocked
from .same_memory import DropoutInference, SameMemory
from .slice import SliceBlocked, SlicePlain
from .softmax import SoftmaxPlain
from .split import SplitBlocked, SplitPlain
from .top_k import ArgMaxPlain, TopKPlain
from .transpose import TransposeBlocked, TransposeInPlace, TransposePlain


def elementwise(function: str) -> tuple[Implementation, ...]:
    """A function of one or two tensors, by its name in the kernel elementwise."""
    return ElementwiseBlocked(function), ElementwisePlain(function)


ACTIVATION = (ActivationBlocked(), ActivationPlain())
GEMM = (GemmPacked(), GemmStrided())
GROUP_NORM = (GroupNormBlocked(), GroupNormPlain())

IMPLEMENTATIONS: dict[type[Op], tuple[Implementation, ...]] = {
    # convolutions
    Conv: (ConvFirst(), ConvDepthwise(), ConvPointwise(), ConvWinograd(), ConvDirect(), ConvIm2col()),
    ConvTranspose: (ConvPhases(),),
    # products of matrices
    Gemm: GEMM,
    MatMul: GEMM,
    Einsum: (EinsumStrided(),),
    RNN: (RecurrentPlain(),),
    GRU: (RecurrentPlain(),),
    LSTM: (RecurrentPlain(),),
    # pools
    MaxPool: (MaxPoolBlocked(),),
    AveragePool: (AveragePoolBlocked(),),
    GlobalMaxPool: (GlobalMaxPoolBlocked(),),
    GlobalAveragePool: (GlobalAveragePoolBlocked(),),
    # normalizations
    InstanceNormalization: GROUP_NORM,
    GroupNormalization: GROUP_NORM,
    LayerNormalization: (LayerNormBlocked(), LayerNormPlain()),
    Softmax: (SoftmaxPlain(),),
    LogSoftmax: (SoftmaxPlain(),),
    # activations
    Clip: ACTIVATION,
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
    Abs: elementwise("abs"),
    Erf: elementwise("erf"),
    Exp: elementwise("exp"),
    Gelu: elementwise("gelu"),
    Mish: elementwise("mish"),
    Neg: elementwise("neg"),
    Reciprocal: elementwise("reciprocal"),
    Sqrt: elementwise("sqrt"),
    # functions of two elements
    Add: elementwise("add"),
    Sub: elementwise("sub"),
    Mul: elementwise("mul"),
    Div: elementwise("div"),
    PRelu: elementwise("prelu"),
    Sum: elementwise("add"),
    Min: elementwise("min"),
    Max: elementwise("max"),
    # reductions
    ReduceSum: (ReducePlain("sum"),),
    ReduceMean: (ReduceMeanBlocked(), ReducePlain("mean")),
    ReduceMax: (ReduceMaxBlocked(), ReducePlain("max")),
    ReduceMin: (ReducePlain("min"),),
    ReduceProd: (ReducePlain("prod"),),
    ReduceL1: (ReducePlain("sum_abs"),),
    ReduceL2: (ReducePlain("l2"),),
    ReduceSumSquare: (ReducePlain("sum_square"),),
    ArgMax: (ArgMaxPlain(),),
    TopK: (TopKPlain(),),
    # element types
    Cast: (CastInPlace(), CastPlain()),
    QuantizeLinear: (*ACTIVATION, QuantizePlain()),
    DequantizeLinear: (QuantizePlain(),),
    # moves of elements
    Concat: (ConcatBlocked(), ConcatPlain()),
    DepthToSpace: (BlocksPlain(),),
    SpaceToDepth: (BlocksPlain(),),
    Dropout: (DropoutInference(),),
    Expand: (ExpandPlain(),),
    Flatten: (SameMemory(),),
    Gather: (GatherPlain(),),
    Identity: (SameMemory(),),
    Pad: (PadBlocked(), PadPlain()),
    Reshape: (SameMemory(),),
    Resize: (ResizeBlocked(),),
    Slice: (SliceBlocked(), SlicePlain()),
    Split: (SplitBlocked(), SplitPlain()),
    Squeeze: (SameMemory(),),
    Transpose: (TransposeInPlace(), TransposeBlocked(), TransposePlain()),
    Unsqueeze: (SameMemory(),),
}

__all__ = ["IMPLEMENTATIONS"]
