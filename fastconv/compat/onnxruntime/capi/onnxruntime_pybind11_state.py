"""onnxruntime's errors, and the classes and functions of its C interface."""

from ..errors import *  # noqa: F403
from ..options import *  # noqa: F403
from ..providers import *  # noqa: F403
from ..values import ModelMetadata as ModelMetadata
from ..values import NodeArg as NodeArg
