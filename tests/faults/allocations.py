"""Let each allocation of a phase fail in turn: allocations.py MODEL [--most N] [--lasting], with failing_malloc.so preloaded.

A phase is what an allocation fails in: the load, the first call, a later one, one with another shape, a save. Every point has
a forked process of its own, so that one that hangs or dies is a result, too. Prints a line of JSON for each phase: the number
of allocations, how many points were tried, and what happened at them.
"""

import argparse
import collections
import ctypes
import errno
import gc
import json
import os
import signal
import sys
import tempfile
import traceback
import warnings
from typing import ClassVar

import numpy as np

import fastconv
from fastconv.inputs import random_array

LIBRARY = ctypes.CDLL(None)
LIBRARY.large_bytes.restype = LIBRARY.allocations.restype = ctypes.c_long
LIBRARY.fail_at.argtypes = ctypes.c_long, ctypes.c_long
NEVER = 1 << 62


def inputs(model, batch):
    """Random arrays by name; sizes that the model leaves open are `batch`."""
    rng = np.random.default_rng(0)
    return {i.name: random_array(i, [n if isinstance(n, int) else batch for n in i.shape], rng) for i in model.inputs}


class Case:
    """A model whose calls should give `expected`, for inputs of two batch sizes."""

    def __init__(self, path, folder):
        self.path, self.folder = path, folder
        model = fastconv.load(path)
        self.inputs = [inputs(model, batch) for batch in (2, 3)]
        self.expected = [self.call(model, i) for i in (0, 1)]

    def call(self, model, i):
        return {name: np.array(y) for name, y in model.run(self.inputs[i]).items()}

    def right(self, model, i):
        results = self.call(model, i)
        return all(np.array_equal(y, results[name], equal_nan=True) for name, y in self.expected[i].items())

    def loaded(self, *called):
        model = fastconv.load(self.path)
        for i in called:
            self.call(model, i)
        return model

    def save(self, model):
        path = os.path.join(self.folder, f"{os.getpid()}.json")
        try:
            model.save(path)
        finally:
            files = sorted(f for f in os.listdir(self.folder) if f.startswith((f"{os.getpid()}.", ".")))
            whole = os.path.exists(path)
            for f in files:
                os.unlink(os.path.join(self.folder, f))
            assert whole or not files, f"left behind: {files}"

    #: a phase -> what makes the model, untouched; what is done to it while an allocation fails
    PHASES: ClassVar = {
        "load": (lambda self: None, lambda self, _: fastconv.load(self.path)),
        "first call": (loaded, lambda self, model: self.call(model, 0)),
        "later call": (lambda self: self.loaded(0), lambda self, model: self.call(model, 0)),
        "other shape": (lambda self: self.loaded(0), lambda self, model: self.call(model, 1)),
        "save": (loaded, save),
    }

    def attempt(self, phase, n, lasting):
        """(outcome, the model or None, allocations): the n-th allocation of a phase fails."""
        prepare, act = self.PHASES[phase]
        model = prepare(self)
        LIBRARY.fail_at(n, lasting)
        try:
            result = act(self, model)
            outcome = "right"
        except MemoryError:
            outcome = "MemoryError"
        except OSError as e:
            outcome = f"OSError {errno.errorcode[e.errno]}"
        except BaseException as e:
            LIBRARY.fail_at(0, 0)
            outcome = f"{type(e).__name__}: {e}"
            print(f"{phase} {n}:", *traceback.format_exception(e)[-4:], sep="\n", file=sys.stderr)
        LIBRARY.fail_at(0, 0)
        seen = LIBRARY.allocations()
        if outcome == "right" and phase == "load":
            model = result
        return outcome, model, seen

    def point(self, phase, n, lasting):
        """What happens if the n-th allocation of a phase fails: "MemoryError", "right" if it goes on without, or a fault."""
        used, files, outcomes = [], [], []
        while len(used) < 3 and used == sorted(set(used)):
            outcome, model, _ = self.attempt(phase, n, lasting)
            if model is not None and not (self.right(model, 0) and self.right(model, 1)):
                return "wrong results afterwards"
            outcomes.append(outcome)
            del model
            gc.collect()
            used.append(LIBRARY.large_bytes())
            files.append(len(os.listdir("/proc/self/fd")))
        if used == sorted(set(used)):
            return f"{used[2] - used[1]} bytes leaked"
        if files[0] < files[-1]:
            return "open files leaked"
        return next((o for o in outcomes if o not in ("right", "MemoryError")), outcomes[0])

    def count(self, phase):
        return self.attempt(phase, NEVER, 0)[2]


def in_child(function):
    """Its result, a str, or how the process ended."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(read)
        signal.alarm(60)
        try:
            result = function()
        except BaseException:
            result = traceback.format_exc()
        os.write(write, result.encode()[:4000])
        os._exit(0)
    os.close(write)
    with open(read) as pipe:
        result = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return f"the process ended with {status}" if status else result


def main():
    """Try the points of every phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--most", type=int, default=NEVER, help="points of a phase, evenly spread; default: all")
    parser.add_argument("--lasting", action="store_true", help="all allocations after a point fail, too")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        case = Case(args.model, folder)
        gc.freeze()  # for quick collections, and memory that children share
        for phase in case.PHASES:
            count = int(in_child(lambda phase=phase: str(case.count(phase))))
            tried = min(args.most, count)
            outcomes = collections.Counter()
            for i in range(tried):
                n = 1 + i * count // tried
                outcomes[in_child(lambda n=n, phase=phase: case.point(phase, n, args.lasting))] += 1
            print(json.dumps({"phase": phase, "allocations": count, "points": tried, "outcomes": outcomes}), flush=True)


if __name__ == "__main__":
    main()
