"""fastconv compared with other CPU engines in one run: times, memory and loading, as tables of docs/performance.md.

    pip install '.[peers]'
    python bench/peers.py                               the networks of bench/zoo.py, batch 1, on one thread and on all cores
    python bench/peers.py --batch 1,8 --accuracy exact --write
    python bench/peers.py --precision int8              quantized networks, the same file for every engine
    python bench/peers.py --threads 2 --engines fastconv,onnxruntime net.onnx

Each engine lives in a process of its own (bench/engines.py). They take turns: in each round each one runs for a short burst and
tells its fastest call, and the round's ratio is (fastest peer) / fastconv. What counts is the median of the rounds' ratios: it
holds on a busy machine, where an absolute time does not. All compute the same network on the same input, and an engine that is
further than 1e-3 of the largest value from the result in float64 is wrong, and not timed.

With --precision int8, each network is quantized once. Engines round differently between the layers: on random weights results
are 1 to 9 % apart. There an engine is wrong if onnxruntime's result is less than 20 dB (10 %) above the difference: one that
computes another function has 0 dB. OpenVINO chooses its types then, and its version names them. ncnn reads no such files.

Networks have random weights. Model files have one input, of which an open batch is that of --batch, and their first output
counts. What the engines read lies in the folder --cache, and what is missing there is made.

FASTCONV_ISA=avx512vnni keeps fastconv from AMX, and ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI OpenVINO: set both to compare them
without it. The results name both.

--write puts the results into this machine's file in bench/results, in place of those of the same accuracy and batch, and writes
the pages made of these files (bench/performance.py).
"""

import argparse
import contextlib
import datetime
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import engines
import numpy as np
import performance
import report
import zoo
from performance import OURS

import fastconv
from fastconv import kernels, onnx_json
from fastconv.bench import tables
from fastconv.convert import convert
from fastconv.threads import cpu_limit

CACHE = Path(os.environ.get("PEERS_CACHE") or Path(tempfile.gettempdir(), "peers_cache"))
MOST_ERROR = 1e-3
#: the least ratio of signal to noise of quantized networks, in decibels
LEAST_RATIO = 20.0
CALIBRATION_IMAGES = 4
#: variables of the environment that keep other engines from instruction sets
LIMITS = ("ONEDNN_MAX_CPU_ISA",)
PNNX = Path(sys.executable).with_name("pnnx")  # ncnn's converter
PATIENCE = 60.0  # seconds for an engine to end


@dataclass
class Result:
    """The result of one engine on one network, batch and number of threads; `error` says why there is none."""

    error: str = ""
    version: str = ""
    load_s: float = math.nan
    resident: float = math.nan
    peak: float = math.nan
    max_error: float = math.nan
    ms: list[float] = field(default_factory=list)
    signal_to_noise: float = math.nan

    @property
    def median(self) -> float:
        return statistics.median(self.ms) if self.ms else math.nan

    def saved(self) -> dict[str, Any]:
        """The form in bench/results: known fields only, numbers with as many digits as the tables need."""
        if self.error:
            return {"error": self.error}
        known = {"median_ms": self.median, "load_ms": 1e3 * self.load_s, "resident_mb": self.resident / 1e6}
        known |= {"peak_mb": self.peak / 1e6, "max_error": self.max_error, "signal_to_noise_db": self.signal_to_noise}
        known = {key: performance.rounded(value) for key, value in known.items() if not math.isnan(value)}
        return known | {"ms": [performance.rounded(ms) for ms in self.ms]}


@dataclass
class Comparison:
    """The results of all engines, by name."""

    network: str
    batch: int
    threads: int
    results: dict[str, Result]

    @property
    def ratio(self) -> float:
        """The fastest peer's time over fastconv's, in the median of the rounds; NaN where there is nothing to compare."""
        ours = self.results[OURS].ms if OURS in self.results else []
        peers = [r.ms for name, r in self.results.items() if name != OURS and r.ms]
        return statistics.median(min(p) / our for our, *p in zip(ours, *peers, strict=True)) if ours and peers else math.nan

    @property
    def memory_shares(self) -> list[float]:
        """fastconv's resident and peak memory relative to the peer with the least."""
        peers = [r for name, r in self.results.items() if name in ("onnxruntime", "openvino") and r.version]
        return [
            getattr(self.results[OURS], kind) / min((getattr(r, kind) for r in peers), default=math.nan)
            for kind in ("resident", "peak")
        ]

    def saved(self) -> dict[str, Any]:
        """The form in bench/results."""
        found: dict[str, Any] = {"network": self.network, "threads": self.threads}
        if not math.isnan(self.ratio):
            found["ratio"] = performance.rounded(self.ratio)
        if OURS in self.results and not any(math.isnan(share) for share in self.memory_shares):
            found["memory_shares"] = [performance.rounded(share) for share in self.memory_shares]
        return found | {"results": {name: r.saved() for name, r in self.results.items()}}


# ---- models


def prepare(
    source: str, batch: int, names: Iterable[str], cache: Path, precision: str = "float32"
) -> tuple[Path, dict[str, str]]:
    """(An `.onnx` file with what else these engines need beside it; engine -> why it has none).

    The source is a network of bench/zoo.py or a file, of floats.
    """
    cache.mkdir(parents=True, exist_ok=True)
    if known := source in zoo.ZOO:
        path = cache / f"{source}_b{batch}.onnx"
    else:
        path = cache / Path(source).with_suffix(".onnx").name
        convert(source, path)
    model, ncnn = path.with_suffix(".json"), path.with_suffix(".ncnn.bin")
    if known and not path.exists():
        onnx_json.write(zoo.build(source, batch=batch), model)
        convert(model, path)
    if precision == "int8":
        floats, path = path, path.with_suffix(".int8.onnx")
        model = path.with_suffix(".json")
        if not (known and path.exists()):
            quantize(floats, path)
    if not known or not model.exists():
        convert(path, model)
    failed = {}
    if "ncnn" in names and not (known and ncnn.exists()):
        try:
            subprocess.run([PNNX, path.name, "fp16=0"], cwd=path.parent, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as e:
            failed["ncnn"] = f"pnnx: {e}"
    return path, failed


def quantize(source: Path, target: Path) -> None:
    """Write a network with uint8 activations and int8 weights, a scale for each output channel, from random images."""
    try:
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ModuleNotFoundError as e:
        raise SystemExit(f"--precision int8 needs the package {e.name}: pip install '.[peers]'") from None

    (image, *_) = fastconv.load(source).inputs
    shape, rng = [d if isinstance(d, int) else 1 for d in image.shape or ()], np.random.default_rng(1)

    class Images(quantization.CalibrationDataReader):
        images = iter([{image.name: rng.standard_normal(shape, np.float32)} for _ in range(CALIBRATION_IMAGES)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.images, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared.onnx")
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        types = {"activation_type": quantization.QuantType.QUInt8, "weight_type": quantization.QuantType.QInt8}
        quantization.quantize_static(prepared, target, Images(), per_channel=True, **types)


# ---- engines


class Engine:
    """The process of an engine, which has answered once."""

    def __init__(self, task: dict[str, Any]):
        environment = os.environ | {"OMP_NUM_THREADS": str(task["threads"])}
        command = [sys.executable, engines.__file__, json.dumps(task)]
        self.noise = Path(f"{task['y']}.{task['engine']}.log")
        with self.noise.open("wb") as noise:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, text=True, env=environment
            )
        self.first = self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        last = self.noise.read_text(errors="replace").strip().splitlines()[-1:]
        return {"error": ": ".join(["the process died", *last])}

    def burst(self, seconds: float) -> dict[str, Any]:
        """The fastest call in so many seconds: {"ms": …}, or {"error": …}."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{seconds}\n")
            self.process.stdin.flush()
        return self._hear()

    def close(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(task: dict[str, Any], expected: np.ndarray, starts: int) -> tuple[Engine, Result]:
    """The engine after the last of several starts, and its report, with the shortest time to load."""
    loads = []
    for i in range(starts):
        engine = Engine(task)
        loads.append(engine.first.get("load_s", math.nan))
        if "error" in engine.first or i == starts - 1:
            break
        engine.close()
    result = Result(**{**engine.first, "load_s": min(loads)})
    if not result.error:
        y = np.load(task["y"]).astype(np.float64).ravel()
        far = y - expected.ravel() if y.size == expected.size else np.full(1, math.inf)
        result.max_error = float(np.abs(far).max() / np.abs(expected).max())
        if task["precision"] == "int8":
            with np.errstate(divide="ignore"):
                result.signal_to_noise = float(10 * np.log10(np.square(expected).sum() / np.square(far).sum()))
            if not result.signal_to_noise >= LEAST_RATIO:
                result.error = f"wrong: the signal is {result.signal_to_noise:.1f} dB above the noise"
        elif not result.max_error <= MOST_ERROR:
            result.error = f"wrong: off by {result.max_error:.1e} of the largest value"
    return engine, result


def task_of(engine: str, path: Path, x: np.ndarray, folder: str, threads: int, args: argparse.Namespace) -> dict[str, Any]:
    """What an engine's process is to do."""
    np.save(Path(folder, "x.npy"), x)
    files = {"model": str(path.absolute()), "x": str(Path(folder, "x.npy")), "y": str(Path(folder, "y.npy"))}
    return {"engine": engine, **files, "threads": threads, "accuracy": args.accuracy, "precision": args.precision}


def onnxruntime_result(path: Path, x: np.ndarray, args: argparse.Namespace) -> np.ndarray:
    """The result of onnxruntime, which those of the other engines are compared with: all round, and each at other places."""
    with tempfile.TemporaryDirectory() as folder:
        task = task_of("onnxruntime", path, x, folder, 1, args)
        engine = Engine(task)
        engine.close()
        if "error" in engine.first:
            raise SystemExit(f"onnxruntime: {engine.first['error']}")
        return np.load(task["y"]).astype(np.float64)


def compare(
    path: Path, x: np.ndarray, expected: np.ndarray, names: Iterable[str], threads: int, args: argparse.Namespace
) -> dict[str, Result]:
    """Every engine's Result on one model and number of threads."""
    running, results = {}, {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        for name in names:
            engine, results[name] = start(task_of(name, path, x, folder, threads, args), expected, args.starts)
            stack.callback(engine.close)
            if not results[name].error:
                running[name] = engine
        for turn in range(args.rounds + 1):
            for name in list(running):
                told = running[name].burst(args.burst)
                if "error" in told:
                    results[name].error, results[name].ms = told["error"], []
                    del running[name]
                elif turn:  # the first round warms up
                    results[name].ms.append(told["ms"])
    return results


def comparisons(names: list[str], args: argparse.Namespace) -> Iterator[Comparison]:
    """All networks and batches on all numbers of threads."""
    for batch in args.batch:
        possible = [n for n in names if n != "ncnn" or (batch == 1 and args.precision == "float32")]
        for source in args.networks or (zoo.QUANTIZED if args.precision == "int8" else zoo.COMPARED):
            path, failed = prepare(source, batch, possible, args.cache, args.precision)
            model = fastconv.load(path.with_suffix(".json"))
            if len(model.inputs) > 1:
                raise SystemExit(f"{source} has {len(model.inputs)} inputs: only networks of one can be compared")
            shape = [d if isinstance(d, int) else batch for d in model.inputs[0].shape or ()]
            x = np.random.default_rng(0).standard_normal(shape, np.float32)
            if args.precision == "int8":
                expected = onnxruntime_result(path, x, args)
            else:
                exact = model.reference(x)
                expected = exact if isinstance(exact, np.ndarray) else next(iter(exact))
            del model
            for threads in args.threads:
                results = compare(path, x, expected, [n for n in possible if n not in failed], threads, args)
                results |= {name: Result(error=why) for name, why in failed.items()}
                network = source if source in zoo.ZOO else Path(source).stem
                yield Comparison(network, batch, threads, {n: results[n] for n in possible})


# ---- what is told


def progress(c: Comparison) -> str:
    """A comparison as one line of progress."""
    cells = [f"{name} {r.error or f'{r.median:.2f} ms'}" for name, r in c.results.items()]
    ratio = "" if math.isnan(c.ratio) else f" | fastest peer / {OURS} {c.ratio:.2f}"
    return f"{c.network} b{c.batch} t{c.threads}: {' | '.join(cells)}{ratio}"


def runs(done: list[Comparison], args: argparse.Namespace) -> list[performance.Run]:
    """The results of each batch, as bench/results has them."""
    found = []
    for batch, group in tables.grouped(done, lambda c: c.batch).items():
        run = {
            "precision": args.precision,
            "accuracy": args.accuracy,
            "batch": batch,
            "date": str(datetime.date.today()),
            "commit": performance.commit(),
        }
        run |= {"threads": args.threads, "rounds": args.rounds, "burst_s": args.burst, "starts": args.starts}
        if limits := {name: os.environ[name] for name in LIMITS if name in os.environ}:
            run["environment"] = limits
        versions = {name: r.version for c in group for name, r in c.results.items() if r.version}
        found.append(run | {"engines": versions, "networks": [c.saved() for c in group]})
    return found


# ---- the command line


def installed(names: Iterable[str]) -> list[str]:
    """The engines that can be imported; a line is printed for each that is left out."""
    found = [n for n in names if importlib.util.find_spec(n)]
    for n in names:
        if n not in found:
            print(f"{n} is not installed and left out: pip install '.[peers]'", file=sys.stderr)
    return found


def counts(text: str) -> list[int]:
    numbers = [int(t) if t.isdecimal() else 0 for t in text.split(",")]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"expected numbers of 1 or more, got {text!r}")
    return numbers


def chosen(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [n for n in names if n not in engines.ENGINES]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(engines.ENGINES)}")
    return names


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = ",".join(map(str, dict.fromkeys((1, cpu_limit().count))))
    defaults = f"default: {', '.join(zoo.COMPARED)}; quantized: {', '.join(zoo.QUANTIZED)}"
    p.add_argument("networks", nargs="*", help=f"of bench/zoo.py, or .onnx files of floats; {defaults}")
    p.add_argument("--batch", type=counts, default=[1], help="images a call, 1,8; default: 1")
    p.add_argument("--threads", type=counts, default=counts(cores), help=f"default: {cores}")
    p.add_argument("--engines", type=chosen, default=list(engines.ENGINES), help=f"default: {','.join(engines.ENGINES)}")
    p.add_argument("--accuracy", choices=("default", "exact"), default="default", help="exact: no Winograd; default: default")
    p.add_argument("--precision", choices=("float32", "int8"), default="float32", help="default: float32")
    p.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    p.add_argument("--burst", type=float, default=0.4, help="seconds of each engine in a round; default: %(default)s")
    p.add_argument("--starts", type=int, default=3, help="how often each engine loads; default: %(default)s")
    p.add_argument("--cache", type=Path, default=CACHE, help="the folder of the models; default: %(default)s")
    p.add_argument("--json", type=Path, help="write every number to this file")
    p.add_argument("--write", action="store_true", help="save the results in bench/results, and write the pages")
    return p


def main() -> None:
    args = parser().parse_args()
    done = []
    for c in comparisons(installed(args.engines), args):
        print(progress(c), flush=True)
        done.append(c)
    own = kernels.load().sources["conv_int8" if args.precision == "int8" else "conv_direct"]
    isa, found = own, runs(done, args)
    print(f"\n{report.machine()}, {isa}\n\n{performance.run_tables(isa, found)}")
    if args.json:
        args.json.write_text(json.dumps([asdict(c) | {"ratio": c.ratio} for c in done], indent=1), encoding="utf-8")
    if args.write:
        print(f"\nwrote {performance.save(isa, found)}")
        performance.write()


if __name__ == "__main__":
    main()
