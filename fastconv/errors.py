"""The errors that fastconv raises on purpose, and its warnings; any other error that escapes is a bug."""

import difflib
import sys
import warnings
from collections.abc import Callable, Iterable
from types import TracebackType


class FastconvError(Exception):
    """Base of every error that fastconv raises on purpose.

    Examples
    --------
    >>> import fastconv
    >>> try:
    ...     fastconv.load(b"{}")
    ... except fastconv.FastconvError as e:
    ...     print(type(e).__name__)
    ModelError
    """


class ModelError(FastconvError, ValueError):
    """The model file or graph is malformed; the message names the node or the JSON path.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.load(b'{"graph": 3}')
    Traceback (most recent call last):
    fastconv.errors.ModelError: graph: expected an object, got 3
    """

    names_node = False


class UnsupportedError(ModelError, NotImplementedError):
    """The model is valid but uses features that fastconv does not implement; the message lists every such place.

    Examples
    --------
    >>> import fastconv
    >>> x = {"name": "x", "type": {"tensor_type": {"elem_type": 1}}}
    >>> node = {"op_type": "Fft", "input": ["x"], "output": ["y"]}
    >>> graph = {"input": [x], "output": [{"name": "y"}], "node": [node]}
    >>> fastconv.load({"opset_import": [{"version": 17}], "graph": graph})
    Traceback (most recent call last):
    fastconv.errors.UnsupportedError: the model uses what fastconv does not implement:
      node 'y' (Fft) at graph.node[0]: operator not supported
    """


class InputError(FastconvError, ValueError):
    """An argument of a call is wrong; the message names it, what was expected and what was given.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> model(np.zeros((1, 1, 8, 8)))
    Traceback (most recent call last):
    fastconv.errors.InputError: input 'image': expected float32, got float64: x.astype(np.float32)
    """


class ModelWarning(UserWarning):
    """The model file contradicts its nodes or a call; the nodes and the call take precedence.

    Examples
    --------
    >>> import fastconv, warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", fastconv.ModelWarning)    # an error in place of the warning
    ...     model = fastconv.load(fastconv.data.DIGITS)
    """


class SlowPathWarning(UserWarning):
    """Much of the model runs by reference, in NumPy, not on kernels; the message names the layers and the reasons.

    Examples
    --------
    >>> import fastconv, warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", fastconv.SlowPathWarning)    # an error in place of the warning
    ...     summary = fastconv.load(fastconv.data.DIGITS).summary()
    """


class Naming:
    """A context for what operators and passes do: exceptions become errors that name the node, or what else `error` names.

    A ModelError that names no node gets its name. What arithmetic on a malformed model raises (ValueError, OverflowError,
    IndexError, ...) becomes a ModelError, with the exception as its cause. Other errors of fastconv, of the system and of
    memory, and warnings pass; NumPy's SystemError, which some of its functions raise if memory runs out, becomes a MemoryError.
    """

    def __init__(self, error: Callable[[str, type[ModelError]], ModelError]):
        self._error = error

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(e, ModelError) and not e.names_node:
            raise self._error(str(e), type(e)) from None
        if isinstance(e, SystemError):
            raise MemoryError(str(self._error(str(e), ModelError))) from e
        if isinstance(e, Exception) and not isinstance(e, FastconvError | MemoryError | OSError | Warning):
            raise self._error(f"{type(e).__name__}: {e}", ModelError) from e


def warn(message: str, category: type[Warning]) -> None:
    """Warn, with the line that called fastconv as the place."""
    level, frame = 1, sys._getframe()
    package = __name__.partition(".")[0]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, level)


def printable(name: str) -> str:
    """A name, escaped if it could hold commands to the terminal."""
    return name if name.isprintable() else repr(name)[1:-1]


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean 'image'?" if a known one is similar, else ""."""
    like = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {like[0]!r}?" if like else ""
