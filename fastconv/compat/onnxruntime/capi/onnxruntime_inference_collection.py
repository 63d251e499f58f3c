"""The module in which onnxruntime defines its Python classes."""

from ..session import InferenceSession, IOBinding
from ..values import OrtValue, SparseTensor

__all__ = ["IOBinding", "InferenceSession", "OrtValue", "SparseTensor"]
