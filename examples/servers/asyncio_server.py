"""asyncio: many connections, one model. The event loop serves the clients while a few threads run the model.

    python examples/servers/asyncio_server.py --port 9000 --model net.onnx

A request is the float32 of one input, the response those of the output; a connection takes any number of requests.
"""

import argparse
import asyncio
import math
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import fastconv

PATIENCE = 5.0  # seconds


async def serve(model, port):
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    shape = (1, *model.inputs[0].shape[1:])
    model.plan()  # packs the weights before the first request

    async def answer(reader, writer):
        try:
            while True:
                x = np.frombuffer(await reader.readexactly(4 * math.prod(shape)), np.float32).reshape(shape)
                y = await asyncio.wait_for(loop.run_in_executor(pool, model, x), PATIENCE)
                writer.write(y.tobytes())
                await writer.drain()
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            writer.close()  # the server ends, or the client is gone, or has waited for too long

    with ThreadPoolExecutor(model.threads) as pool:
        server = await asyncio.start_server(answer, "127.0.0.1", port)
        print("listening on {}:{}".format(*server.sockets[0].getsockname()), flush=True)
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--model", default=fastconv.data.DIGITS, help="default: the network for digits that fastconv has")
    args = parser.parse_args()
    asyncio.run(serve(fastconv.load(args.model), args.port))
