"""The servers of examples/servers: each as a process, with requests from several clients at once; answers are the model's bits.

Every server ends by SIGTERM, and leaves no process behind.
"""

import contextlib
import io
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastconv
from fastconv import onnx_json, vision

from ..support.graphs import Net

SERVERS = Path(__file__).parents[2] / "examples" / "servers"
CLIENTS, REQUESTS = 4, 24
SECONDS = 30  # to start, to stop and to answer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc"),
]


def images():
    with np.load(fastconv.data.DIGITS_IMAGES) as file:
        return file["images"][:REQUESTS, None].astype(np.float32)


@contextlib.contextmanager
def server(folder, *command, **environment):
    """The port of a server on this machine, and the process."""
    log = folder / "log"
    env = os.environ | {"HOME": str(folder)} | {k: str(v) for k, v in environment.items()}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *map(str, command)], cwd=folder, stdout=file, stderr=file, env=env, start_new_session=True
        )
    try:
        until = time.monotonic() + SECONDS
        while not (listening := re.search(r"127\.0\.0\.1:(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.02)
        yield int(listening[1]), process
        process.terminate()
        assert process.wait(SECONDS) in (0, -signal.SIGTERM), log.read_text()
        with pytest.raises(ProcessLookupError):  # nobody is left of its session
            os.killpg(process.pid, 0)
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def at_once(request, items):
    """The answers to requests of several clients."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(request, items))


def post(url, body, **headers):
    """(status, body) of a response."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=SECONDS) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


# ---- FastAPI


def form(content, name="picture"):
    """The body of a form with one file."""
    return b"\r\n".join(
        [b"--cut", f'Content-Disposition: form-data; name="{name}"; filename="a.png"'.encode(), b"", content, b"--cut--", b""]
    )


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize("by", ["uvicorn", "gunicorn"])
def test_fastapi(by, tmp_path):
    for package in ("fastapi", "python_multipart", by):
        pytest.importorskip(package)
    options = {
        "uvicorn": ["--port", "0", "--app-dir", SERVERS],
        "gunicorn": ["--bind", "127.0.0.1:0", "--chdir", SERVERS, "--preload", "--workers", "2", "--worker-class", "asgi"],
    }
    pictures = [np.repeat(15 * image[0, ..., None].astype(np.uint8), 3, axis=-1) for image in images()]
    with server(tmp_path, "-m", by, *options[by], "fastapi_app:app") as (port, _):
        url, kind = f"http://127.0.0.1:{port}/classify", {"Content-Type": "multipart/form-data; boundary=cut"}
        answers = at_once(lambda p: post(url, form(png(p)), **kind), pictures)
        wrong = post(url, form(b"no picture"), **kind)
        large = post(url, form(bytes(10_000_001)), **kind)
        missing, _ = post(url, form(b"", "photo"), **kind)
    model = fastconv.load(fastconv.data.DIGITS)
    assert [(status, json.loads(body)) for status, body in answers] == [
        (200, vision.classify(model, p).as_dict()) for p in pictures
    ]
    assert wrong == (400, b'{"detail":"the file: not a picture that can be read: its format is unknown"}')
    assert large == (413, b'{"detail":"more than 10,000,000 bytes"}')
    assert missing == 422


def test_fastapi_lets_requests_wait_for_a_slot(monkeypatch):
    fastapi = pytest.importorskip("fastapi")
    pytest.importorskip("python_multipart")
    names = runpy.run_path(str(SERVERS / "fastapi_app.py"))
    classify, slots = names["classify"], names["slots"]
    monkeypatch.setitem(classify.__globals__, "PATIENCE", 0.01)

    def status(content):
        try:
            return classify(fastapi.UploadFile(io.BytesIO(content), size=len(content)))
        except fastapi.HTTPException as error:
            return error.status_code

    for _ in range(names["model"].threads + 1):  # each gives its slot back
        assert status(b"no picture") == 400
        assert status(png(np.zeros((8, 8, 3), np.uint8))).keys() == {"classes"}
    for _ in range(names["model"].threads):
        assert slots.acquire(timeout=0)
    assert status(b"no picture") == 503


# ---- asyncio


def test_asyncio(tmp_path):
    def ask(batch):
        """The answers to several requests over one connection."""
        with socket.create_connection(("127.0.0.1", port), SECONDS) as client, client.makefile("rwb") as stream:
            for image in batch:
                stream.write(image.tobytes())
            stream.flush()
            return np.frombuffer(stream.read(40 * len(batch)), np.float32).reshape(-1, 10)

    x = images()
    with server(tmp_path, SERVERS / "asyncio_server.py", "--port", "0") as (port, process):
        answers = np.concatenate(at_once(ask, np.array_split(x, CLIENTS)))
        with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
            client.sendall(b"half a request")  # and no end: the server stops all the same
            process.terminate()
            process.wait(SECONDS)
    np.testing.assert_array_equal(answers, fastconv.load(fastconv.data.DIGITS)(x))


# ---- gunicorn


def private_bytes(pid):
    """The memory of a process that it shares with no other."""
    fields = re.findall(r"^Private_\w+: +(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return 1024 * sum(map(int, fields))


def children(process, count):
    """The processes that a process has started, once they are so many."""
    file = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + SECONDS
    while len(found := file.read_text().split()) < count and time.monotonic() < until:
        time.sleep(0.02)
    return found


def test_gunicorn_s_workers_share_the_weights(tmp_path):
    pytest.importorskip("gunicorn")
    net = Net()
    weights = np.random.default_rng(0).standard_normal((64, 1 << 17), np.float32)
    graph = net.graph(net("Gemm", net("Flatten", net.input("x", "N", 1, 8, 8)), weights))
    onnx_json.write(graph, tmp_path / "net.json")
    options = ["--bind", "127.0.0.1:0", "--chdir", SERVERS, "--preload", "--workers", "2"]
    x = images()
    with server(tmp_path, "-m", "gunicorn", *options, "wsgi_app:app", MODEL=tmp_path / "net.json") as (port, process):
        url = f"http://127.0.0.1:{port}"
        answers = at_once(lambda image: post(url, image.tobytes()), x)
        short, long = post(url, bytes(252)), post(url, bytes(1000))
        private = [private_bytes(pid) for pid in children(process, 2)]
    model = fastconv.load(tmp_path / "net.json")
    assert answers == [(200, model(image[None]).tobytes()) for image in x]
    assert short == (400, b"cannot reshape array of size 63 into shape (1,1,8,8)")
    assert long[0] == 400
    assert len(private) == 2
    assert max(private) < weights.nbytes / 2


# ---- multiprocessing


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes(method, tmp_path):
    x = images()
    np.save(tmp_path / "images.npy", x)
    command = [sys.executable, SERVERS / "process_pool.py", tmp_path / "images.npy", tmp_path / "scores.npy"]
    subprocess.run([*command, "--processes", "2", "--method", method], check=True, timeout=SECONDS)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), fastconv.load(fastconv.data.DIGITS)(x))
