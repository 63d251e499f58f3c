"""Execution providers, of which fastconv is one, the CPU's; and onnxruntime's settings for a whole process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import warn

CPU = "CPUExecutionProvider"
#: onnxruntime's own list, in its order
_ALL = """Tensorrt CUDA MIGraphX OpenVINO Dnnl VitisAI QNN Nnapi VSINPU Js CoreML Dml Rknpu WebNN WebGpu Xnnpack CANN Azure
    CPU"""


def get_all_providers() -> list[str]:
    """The names of all providers that onnxruntime knows."""
    return [f"{name}ExecutionProvider" for name in _ALL.split()]


def get_available_providers() -> list[str]:
    """The names of the providers that run models here: the CPU's."""
    return [CPU]


def get_device() -> str:
    """The device that models run on."""
    return "CPU"


def check_providers(providers: Sequence[Any] | None, options: Sequence[Any] | None) -> None:
    """Check providers as onnxruntime does: a warning for one that is not available, ValueError if malformed.

    RuntimeError if onnxruntime has none of this name.
    """
    if not isinstance(providers or [], Sequence):
        raise ValueError("'providers' should be a sequence.")
    if options is not None:
        if not isinstance(options, Sequence):
            raise ValueError("'provider_options' should be a sequence.")
        if providers is not None and len(providers) != len(options):
            raise ValueError("'providers' and 'provider_options' should be the same length if both are given.")
        if not all(isinstance(p, str) for p in providers or []):
            raise ValueError("Only string values for 'providers' are supported if 'provider_options' is given.")
        if not all(isinstance(o, dict) for o in options):
            raise ValueError("'provider_options' values must be dicts.")
    names = [p[0] if isinstance(p, tuple) and len(p) == 2 and isinstance(p[1], dict) else p for p in providers or []]
    for name in names:
        if not isinstance(name, str):
            raise ValueError("'providers' values must be either strings or (string, dict) tuples.")
        if name != CPU:
            warn(f"Specified provider '{name}' is not in available provider names.Available providers: '{CPU}'", UserWarning)
    if unknown := [name for name in names if name not in get_all_providers()]:
        raise RuntimeError(f"Unknown Provider Type: {unknown[0]}")


def set_default_logger_severity(severity: int) -> None:
    """No effect: fastconv reports by Python's warnings. RuntimeError if `severity` is not from 0 to 4."""
    if not 0 <= severity <= 4:
        raise RuntimeError("Invalid logging severity. 0:Verbose, 1:Info, 2:Warning, 3:Error, 4:Fatal")


def set_default_logger_verbosity(verbosity: int) -> None:
    """No effect."""


def set_seed(seed: int) -> None:
    """No effect: no operator of fastconv is random."""


def disable_telemetry_events() -> None:
    """No effect: fastconv sends nothing to anyone."""


enable_telemetry_events = disable_telemetry_events


def preload_dlls(*args: Any, **kwargs: Any) -> None:
    """No effect: there are no libraries of a GPU to load."""


__all__ = [
    "disable_telemetry_events", "enable_telemetry_events", "get_all_providers", "get_available_providers", "get_device",
    "set_default_logger_severity", "set_default_logger_verbosity", "set_seed",
]  # fmt: skip
