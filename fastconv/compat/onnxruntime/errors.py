"""onnxruntime's errors, one class for each status of its C interface."""


class Fail(Exception):
    """A failure of no other class."""


class InvalidArgument(Exception):
    """An argument of a call is wrong."""


class NoSuchFile(Exception):
    """There is no model of this path."""


class NoModel(Exception):
    """A session without a model."""


class RuntimeException(Exception):
    """A node failed as the model ran."""


class InvalidProtobuf(Exception):
    """The file is no ONNX model."""


class ModelLoaded(Exception):
    """A session has a model already."""


class NotImplemented(Exception):
    """The model uses what the engine does not implement."""


class InvalidGraph(Exception):
    """The model's graph is malformed."""


class EPFail(Exception):
    """A failure of an execution provider."""


_STATUS: dict[type[Exception], str] = {
    Fail: "1 : FAIL",
    InvalidArgument: "2 : INVALID_ARGUMENT",
    NoSuchFile: "3 : NO_SUCHFILE",
    RuntimeException: "6 : RUNTIME_EXCEPTION",
    InvalidProtobuf: "7 : INVALID_PROTOBUF",
    NotImplemented: "9 : NOT_IMPLEMENTED",
    InvalidGraph: "10 : INVALID_GRAPH",
}


def failure(kind: type[Exception], message: object) -> Exception:
    """An error with the beginning that onnxruntime gives it."""
    return kind(f"[ONNXRuntimeError] : {_STATUS[kind]} : {message}")


def message_of(error: Exception) -> str:
    """Its message without that beginning."""
    return str(error).split(" : ", 3)[-1] if type(error) in _STATUS else str(error)


__all__ = [
    "EPFail", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "ModelLoaded", "NoModel", "NoSuchFile",
    "NotImplemented", "RuntimeException",
]  # fmt: skip
