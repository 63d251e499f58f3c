"""How soon Ctrl-C ends what runs: `python -m tests.faults.delays MODEL [--tries N]`, with SIGINT at random times.

Prints for each action its time, how many tries were interrupted, and the median and the largest time from signal to exception.
"""

import argparse
import os
import random
import signal
import tempfile
import threading
import time
import warnings

import numpy as np

import fastconv
from fastconv.convert import convert
from fastconv.inputs import random_array


def delay(action, seconds):
    """Seconds from a SIGINT, at a random time in the action, to KeyboardInterrupt; None if the action ended before."""
    sent = None

    def send():
        nonlocal sent
        time.sleep(random.random() * seconds)
        sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    try:
        sender.start()
        action()
        ended = None
        sender.join()
        time.sleep(0.01)
    except KeyboardInterrupt:
        ended = time.perf_counter() if sender.is_alive() or sent is not None else None
    sender.join()
    return None if ended is None else ended - sent


def main():
    """Measure all actions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--tries", type=int, default=100)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    model = fastconv.load(args.model)
    rng = np.random.default_rng(0)
    x = {i.name: random_array(i, [n if isinstance(n, int) else 1 for n in i.shape], rng) for i in model.inputs}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "saved.json")
        actions = {
            "load": lambda: fastconv.load(args.model),
            "first call": lambda: fastconv.load(args.model).run(x),
            "call": lambda: model.run(x),
            "reference": lambda: model.reference(x),
            "save": lambda: model.save(path),
            "convert": lambda: convert(args.model, path),
        }
        for name, action in actions.items():
            began = time.perf_counter()
            action()
            seconds = time.perf_counter() - began
            delays = sorted(d for d in (delay(action, seconds) for _ in range(args.tries)) if d is not None)
            print(
                f"{name}: {seconds:.3f} s; {len(delays)} of {args.tries} interrupted "
                + (f"after {delays[len(delays) // 2] * 1e3:.1f} ms, at most {delays[-1] * 1e3:.1f} ms" if delays else ""),
                flush=True,
            )


if __name__ == "__main__":
    main()
