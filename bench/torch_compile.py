"""torch.compile: eager mode, inductor and fastconv on the same networks, as a table.

    .ci/torch                                                  or, where torch and a C++ compiler are installed:
    python bench/torch_compile.py [--networks resnet18,unet] [--threads 1,2] [--rounds 15]

One image a call. The three take turns, each for a short burst; a time is the median over the rounds of the fastest call of a
burst, and a ratio the median of the rounds' ratios. `compile` is the first call in seconds; `error` is the largest difference
from eager mode, relative to its largest value. Networks are those of tests/support/torch_networks.py, with random weights.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from fastconv.torch_backend import compile_graph

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support import torch_networks

#: name -> the side of its image
NETWORKS = {"resnet18": 224, "mobilenetv3": 224, "unet": 256}
BACKENDS = {"inductor": "inductor", "fastconv": compile_graph}
BURST = 0.1  # seconds


def fastest(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> float:
    """Milliseconds of the fastest call in a burst."""
    times: list[float] = []
    while sum(times) < BURST:
        start = time.perf_counter()
        function(x)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    print("network      threads   eager ms inductor ms fastconv ms  eager/fastconv  inductor/fastconv  compile s (i, f)  error")
    for name in args.networks.split(","):
        module = torch_networks.build(name)
        x = torch.randn((1, 3, NETWORKS[name], NETWORKS[name]), generator=torch.Generator().manual_seed(1))
        for threads in map(int, args.threads.split(",")):
            torch.set_num_threads(threads)
            torch._dynamo.reset()
            functions: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"eager": module}
            results, seconds = {}, {}
            for backend, compiler in BACKENDS.items():
                functions[backend] = torch.compile(module, backend=compiler, fullgraph=True)
                start = time.perf_counter()
                results[backend] = functions[backend](x)
                seconds[backend] = time.perf_counter() - start
            wanted = module(x)
            error = float((results["fastconv"] - wanted).abs().max() / wanted.abs().max())
            rounds = [{key: fastest(f, x) for key, f in functions.items()} for _ in range(args.rounds)]
            ms = {key: statistics.median(r[key] for r in rounds) for key in functions}
            eager, inductor = (statistics.median(r[key] / r["fastconv"] for r in rounds) for key in ("eager", "inductor"))
            print(
                f"{name:12} {threads:7} {ms['eager']:10.2f} {ms['inductor']:11.2f} {ms['fastconv']:11.2f} {eager:15.2f} "
                f"{inductor:18.2f} {seconds['inductor']:11.1f}, {seconds['fastconv']:4.1f} {error:6.0e}",
                flush=True,
            )


if __name__ == "__main__":
    with torch.no_grad():
        main()
