"""fastconv and onnxruntime in the same servers: requests a second and latencies, the table of docs/servers.md.

    pip install '.[peers,servers]'
    python bench/servers.py                                    MobileNetV2 and ResNet-18, about four minutes
    python bench/servers.py --write                            the same, written to docs/servers.md
    python bench/servers.py resnet50 --servers asyncio --clients 1,16 --threads 1,2,0

The servers are those of examples/servers, cut down to an engine (bench/server_apps.py): FastAPI under uvicorn and an asyncio
server, which call the engine in a thread for each CPU, and gunicorn with a worker process for each CPU. That has --preload for
fastconv, but not for onnxruntime, whose sessions do not survive a fork. Clients are connections over loopback, each of which
sends its next request when it has its answer.

Every engine runs with every number of threads a call (0: its default), each in a server of its own. All of these are up at once
and take turns of --burst seconds. A ratio is fastconv's requests a second over onnxruntime's, in the median of the rounds.
"Best" is the number of threads with the most requests a second, chosen for each engine. MB are the memory of a server's
processes, in which what they share counts once.
"""

import argparse
import contextlib
import http.client
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import peers
import report

import fastconv
from fastconv import kernels
from fastconv.threads import cpu_limit

ENGINES = ("fastconv", "onnxruntime")
CPUS = cpu_limit().count
HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "servers.md"
PATIENCE = 60.0  # seconds
COMMANDS = {
    "FastAPI": ["-m", "uvicorn", "--port=0", "--no-access-log", f"--app-dir={HERE}", "--factory", "server_apps:fastapi"],
    "asyncio": [str(HERE / "server_apps.py")],
    "gunicorn": ["-m", "gunicorn", "--bind=127.0.0.1:0", f"--workers={CPUS}", f"--chdir={HERE}", "server_apps:wsgi()"],
}


@dataclass
class Task:
    """A network, and a request with its answer."""

    network: str
    model: Path
    shape: tuple[int, ...]
    body: bytes
    expected: np.ndarray


@dataclass
class Burst:
    """The requests of one turn: the milliseconds of each."""

    seconds: float
    ms: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.ms) / self.seconds


class Server:
    """A server that has started, and its bursts by the number of clients."""

    def __init__(self, kind: str, task: Task, engine: str, threads: int, folder: Path):
        self.kind, self.task, self.engine, self.threads = kind, task, engine, threads
        self.bursts: dict[int, list[Burst]] = {}
        self.megabytes = 0.0
        settings = {"ENGINE": engine, "THREADS": threads, "CALLS": CPUS, "MODEL": task.model, "HOME": folder}
        settings["SHAPE"] = "x".join(map(str, task.shape))
        preload = ["--preload"] if kind == "gunicorn" and engine == "fastconv" else []
        log = folder / f"{engine}-{threads}.log"
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *COMMANDS[kind], *preload],
                stdout=file,
                stderr=file,
                env=os.environ | {name: str(value) for name, value in settings.items()},
                start_new_session=True,
            )
        until = time.monotonic() + PATIENCE
        while not (listening := re.search(r"127\.0\.0\.1:(\d+)", log.read_text(errors="replace"))):
            if self.process.poll() is not None or time.monotonic() > until:
                self.close()
                raise SystemExit(f"{kind} with {engine} does not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        self.port = int(listening[1])

    def close(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        with contextlib.suppress(ProcessLookupError):  # whoever is left
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def weigh(self) -> None:
        """Take the memory of its processes; what n of them share counts 1/n in each."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in (self.process.pid, *children)]
        self.megabytes = sum(1024 * int(kb) for kb in re.findall(r"^Pss: +(\d+)", "\n".join(rollups), re.MULTILINE)) / 1e6

    @contextlib.contextmanager
    def client(self) -> Iterator[Callable[[], bytes]]:
        """A connection, as the function that sends the request and returns the response."""
        address = "127.0.0.1", self.port
        if self.kind == "asyncio":
            with socket.create_connection(address, PATIENCE) as connection, connection.makefile("rb") as answers:

                def ask() -> bytes:
                    connection.sendall(self.task.body)
                    return answers.read(self.task.expected.nbytes)

                yield ask
        else:
            with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as web:

                def ask() -> bytes:
                    web.request("POST", "/", self.task.body)
                    with web.getresponse() as response:
                        return response.read()

                yield ask

    def check(self) -> None:
        """SystemExit if its answer is not that of the network."""
        with self.client() as ask:
            answer = ask()
        y, expected = np.frombuffer(answer[: len(answer) // 4 * 4], np.float32), self.task.expected.ravel()
        if y.size != expected.size or not np.abs(y - expected).max() <= peers.MOST_ERROR * np.abs(expected).max():
            raise SystemExit(f"{self.kind} with {self.engine}: a wrong answer, {answer[:80]!r}")

    def burst(self, clients: int, seconds: float) -> Burst:
        """The requests of so many clients in so many seconds."""
        times: list[list[float]] = [[] for _ in range(clients)]
        start = threading.Barrier(clients + 1)

        def run(ms: list[float]) -> None:
            with self.client() as ask:
                start.wait(PATIENCE)
                now = time.perf_counter()
                until = now + seconds
                while now < until:
                    began = now
                    ask()
                    now = time.perf_counter()
                    ms.append(1e3 * (now - began))

        threads = [threading.Thread(target=run, args=(ms,)) for ms in times]
        for thread in threads:
            thread.start()
        start.wait(PATIENCE)
        began = time.perf_counter()
        for thread in threads:
            thread.join()
        return Burst(time.perf_counter() - began, [ms for each in times for ms in each])


def task(network: str) -> Task:
    """A network of bench/zoo.py, or a file, with a request."""
    model, _ = peers.prepare(network, 1, ENGINES, peers.CACHE)
    reference = fastconv.load(model.with_suffix(".json"))
    shape = tuple(d if isinstance(d, int) else 1 for d in reference.inputs[0].shape or ())
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    expected = reference.run(np.divide(pixels, 255, dtype=np.float32))[0]
    return Task(Path(network).stem, model, shape, pixels.tobytes(), expected)


def measure(kind: str, task: Task, args: argparse.Namespace) -> list[Server]:
    """The servers of one kind, for every engine and number of threads: closed, with their bursts."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        servers = []
        for threads in args.threads:
            for engine in ENGINES:
                servers.append(Server(kind, task, engine, threads, Path(folder)))
                stack.callback(servers[-1].close)
        for server in servers:
            server.check()
        for clients in args.clients:
            for turn in range(args.rounds + 1):
                for server in servers:
                    burst = server.burst(clients, args.burst)
                    if turn:  # the first round warms up
                        server.bursts.setdefault(clients, []).append(burst)
        for server in servers:
            server.weigh()
    return servers


# ---- the table

COLUMNS = (
    "server", "network", "clients", "threads a call", "fastconv, requests/s (p50, p95 ms)", "onnxruntime", "ratio",
    "fastconv, MB", "onnxruntime, MB",
)  # fmt: skip


def rate(server: Server, clients: int) -> float:
    return statistics.median(b.rate for b in server.bursts[clients])


def cell(server: Server, clients: int) -> str:
    """Requests a second and latencies."""
    p50, p95 = np.percentile([ms for b in server.bursts[clients] for ms in b.ms], [50, 95])
    return f"{rate(server, clients):.0f} ({p50:.1f}, {p95:.1f})"


def rows(servers: list[Server], clients: int) -> Iterator[str]:
    """A row for the best number of threads of each engine, and one for the defaults."""
    by_engine = [[s for s in servers if s.engine == engine] for engine in ENGINES]
    pairs = {"best": [max(each, key=lambda s: rate(s, clients)) for each in by_engine]}
    if defaults := [s for s in servers if not s.threads]:
        pairs["default"] = defaults
    for words, (ours, theirs) in pairs.items():
        ratio = statistics.median(a.rate / b.rate for a, b in zip(ours.bursts[clients], theirs.bursts[clients], strict=True))
        if words == "best":
            words = "best: " + ", ".join(str(s.threads or "default") for s in (ours, theirs))
        cells = [ours.kind, ours.task.network, clients, words, cell(ours, clients), cell(theirs, clients), f"{ratio:.2f}"]
        yield row([*cells, f"{ours.megabytes:.0f}", f"{theirs.megabytes:.0f}"])


def row(cells: Iterable[object]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


# ---- the command line


def kinds(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [n for n in names if n not in COMMANDS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(COMMANDS)}")
    return names


def threads(text: str) -> list[int]:
    if not all(t.isdecimal() for t in text.split(",")):
        raise argparse.ArgumentTypeError(f"expected numbers of 0 or more, got {text!r}")
    return [int(t) for t in text.split(",")]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("networks", nargs="*", default=["mobilenetv2", "resnet18"], help="of bench/zoo.py, or .onnx files")
    p.add_argument("--servers", type=kinds, default=list(COMMANDS), help=f"default: {','.join(COMMANDS)}")
    p.add_argument("--clients", type=peers.counts, default=[1, 4 * CPUS], help=f"default: 1,{4 * CPUS}")
    p.add_argument("--threads", type=threads, default=[1, 0], help="of a call; 0: the engine's default; default: 1,0")
    p.add_argument("--rounds", type=int, default=4, help="default: %(default)s")
    p.add_argument("--burst", type=float, default=0.7, help="seconds of each server in a round; default: %(default)s")
    p.add_argument("--write", action="store_true", help="write the table to docs/servers.md")
    return p


def main() -> None:
    args = parser().parse_args()
    if missing := [e for e in ENGINES if e not in peers.installed(ENGINES)]:
        raise SystemExit(f"there is nothing to compare with without {missing[0]}")
    table = [row(COLUMNS), row(["---", "---", "---:", "---", *["---:"] * 5])]
    for network in map(task, args.networks):
        for kind in args.servers:
            servers = measure(kind, network, args)
            for line in (line for clients in args.clients for line in rows(servers, clients)):
                print(line, flush=True)
                table.append(line)
    measured = f"{report.machine()}, {kernels.load().isa}, {CPUS} CPUs, onnxruntime {version('onnxruntime')}"
    text = "\n".join([f"{measured}:", "", *table])
    print(f"\n{text}")
    if args.write:
        report.replace_table(PAGE, "servers", text)


if __name__ == "__main__":
    main()
