"""The errors that fastconv raises on purpose, and its warnings; any other error that escapes is a bug."""

import difflib
import sys
import warnings
from collections.abc import Iterable


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


def warn(message: str, category: type[Warning]) -> None:
    """Warn, with the line that called fastconv as the place."""
    level, frame = 1, sys._getframe()
    package = __name__.partition(".")[0]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, level)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean 'image'?" if a known one is similar, else ""."""
    like = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {like[0]!r}?" if like else ""
