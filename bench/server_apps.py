"""The servers that bench/servers.py measures: those of examples/servers, cut down to an engine and what brings it requests.

A request is uint8 pixels, the response the float32 of the first output. The environment has ENGINE, a name of bench/engines.py,
MODEL, the file, and SHAPE, the input's; THREADS of a call, 0 for the engine's default; and CALLS, the most at once.

    uvicorn --app-dir bench --factory server_apps:fastapi
    python bench/server_apps.py                                       asyncio
    gunicorn --chdir bench 'server_apps:wsgi()'                       with --preload for an engine that may be forked
"""

import asyncio
import math
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import engines
import numpy as np

SHAPE = tuple(map(int, os.environ["SHAPE"].split("x")))
BYTES = math.prod(SHAPE)
CALLS = int(os.environ["CALLS"])


def answer() -> Callable[[bytes], bytes]:
    """The function from a request to its response, after one call of the engine."""
    name, threads = os.environ["ENGINE"], int(os.environ["THREADS"])
    default = None if name == "fastconv" else 0
    task = {"accuracy": "default", "precision": "float32"}
    run, _ = engines.ENGINES[name](Path(os.environ["MODEL"]), threads or default, task)

    def answer(pixels: bytes) -> bytes:
        x = np.frombuffer(pixels, np.uint8).reshape(SHAPE)
        return np.asarray(run([np.divide(x, 255, dtype=np.float32)])[0]).tobytes()

    answer(bytes(BYTES))
    return answer


def fastapi():
    from anyio import CapacityLimiter, to_thread
    from fastapi import FastAPI, Request, Response

    app, run, slots = FastAPI(), answer(), CapacityLimiter(CALLS)

    @app.post("/")
    async def scores(request: Request) -> Response:
        return Response(await to_thread.run_sync(run, await request.body(), limiter=slots))

    return app


def wsgi():
    run = answer()

    def app(environ, start_response):
        y = run(environ["wsgi.input"].read(BYTES))
        start_response("200 OK", [("Content-Length", str(len(y)))])
        return [y]

    return app


async def tcp() -> None:
    loop, run, stop = asyncio.get_running_loop(), answer(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    async def serve(reader, writer):
        try:
            while True:
                writer.write(await loop.run_in_executor(pool, run, await reader.readexactly(BYTES)))
                await writer.drain()
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    with ThreadPoolExecutor(CALLS) as pool:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        print("listening on {}:{}".format(*server.sockets[0].getsockname()), flush=True)
        await stop.wait()
        server.close()


if __name__ == "__main__":
    asyncio.run(tcp())
