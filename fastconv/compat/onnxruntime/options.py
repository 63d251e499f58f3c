"""SessionOptions and RunOptions: attributes that keep what a program sets.

The number of threads, the sizes of symbols, and `RunOptions.terminate` have an effect.
"""

from __future__ import annotations

import operator
from enum import IntEnum
from typing import Any

from ...errors import warn
from .errors import Fail, failure


class GraphOptimizationLevel(IntEnum):
    """How far onnxruntime changes the graph; fastconv always runs all its passes."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(IntEnum):
    """Whether nodes run side by side; in fastconv they never do."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(IntEnum):
    """The order of independent nodes, which fastconv chooses itself."""

    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


class _Options:
    """Attributes, whose defaults the class has; integers and bools stay such. An unknown one is kept, with one warning."""

    _entries: dict[str, str]

    def __init__(self) -> None:
        self.__dict__["_entries"] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(self, name):
            warn(f"{type(self).__name__}.{name} is unknown to fastconv.compat.onnxruntime and has no effect", UserWarning)
        elif isinstance(getattr(type(self), name, None), int):
            operator.index(value)
        self.__dict__[name] = value

    def _add_entry(self, key: str, value: str) -> None:
        """Keep an entry; it has no effect."""
        self._entries[key] = value

    def _entry(self, key: str) -> str:
        """The value of an entry; RuntimeError if there is none."""
        if key not in self._entries:
            raise RuntimeError(f"{type(self).__name__} does not have configuration with key: {key}")
        return self._entries[key]


class SessionOptions(_Options):
    """Options of an InferenceSession; `intra_op_num_threads` is fastconv's number of threads, 0 the default."""

    enable_cpu_mem_arena: bool = True
    enable_mem_pattern: bool = True
    enable_mem_reuse: bool = True
    enable_profiling: bool = False
    execution_mode: ExecutionMode = ExecutionMode.ORT_SEQUENTIAL
    execution_order: ExecutionOrder = ExecutionOrder.DEFAULT
    graph_optimization_level: GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL
    inter_op_num_threads: int = 0
    intra_op_num_threads: int = 0
    log_severity_level: int = -1
    log_verbosity_level: int = 0
    logid: str = ""
    optimized_model_filepath: str = ""
    profile_file_prefix: str = "onnxruntime_profile_"
    use_deterministic_compute: bool = False
    use_per_session_threads: bool = True

    _sizes: dict[tuple[str, str], int]

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["_sizes"] = {}

    add_session_config_entry = _Options._add_entry
    get_session_config_entry = _Options._entry

    def add_free_dimension_override_by_name(self, name: str, size: int) -> None:
        """Give a size to a symbol in the shapes of inputs and outputs."""
        self._sizes["dim_param", name] = size

    def add_free_dimension_override_by_denotation(self, denotation: str, size: int) -> None:
        """Give a size to the dimensions of inputs and outputs that have this meaning, such as DATA_BATCH."""
        self._sizes["denotation", denotation] = size

    def register_custom_ops_library(self, path: str) -> None:
        """Fail: fastconv runs no compiled operators of others."""
        raise failure(Fail, f"Failed to load library {path} with error: fastconv has no custom operators")

    def has_providers(self) -> bool:
        """Whether a provider was added to the options; none ever is."""
        return False


class RunOptions(_Options):
    """Options of a run; `terminate` makes it fail."""

    log_severity_level: int = -1
    log_verbosity_level: int = 0
    logid: str = ""
    only_execute_path_to_fetches: bool = False
    terminate: bool = False

    add_run_config_entry = _Options._add_entry
    get_run_config_entry = _Options._entry


__all__ = ["ExecutionMode", "ExecutionOrder", "GraphOptimizationLevel", "RunOptions", "SessionOptions"]
