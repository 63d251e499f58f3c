"""A small network with hostile names, its report, and a browser for its page."""

import os
import shutil

import numpy as np
import pytest

import fastconv
from fastconv import onnx_json

from ..support.graphs import Net, normal
from ..support.rng import generator

RNG = generator(__name__)
HOSTILE = [
    "</script><script>document.body.remove()</script>",
    "<img src=x onerror=\"document.title='bad'\">",
    "{document}<!-- &amp; é",
]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Two branches of convolutions, joined, and pooled."""
    net = Net()
    x = net.input("image", "N", 3, 16, 16)
    stem = net("Relu", net("Conv", x, normal(RNG, 24, 3, 3, 3), normal(RNG, 24), pads=(1,) * 4, name=HOSTILE[0]))
    left = net("Conv", stem, normal(RNG, 8, 24, 1, 1), normal(RNG, 8), name=HOSTILE[1])
    right = net("Conv", stem, normal(RNG, 8, 24, 3, 3), normal(RNG, 8), pads=(1,) * 4, name=HOSTILE[2])
    pooled = net("MaxPool", net("Concat", left, right, axis=1), kernel_shape=(2, 2), strides=(2, 2), name="pool")
    logits = net("Flatten", net("GlobalAveragePool", pooled), name="logits")
    graph = net.graph(logits)
    graph.name = HOSTILE[0]
    path = tmp_path_factory.mktemp("report") / "net.json"
    onnx_json.write(graph, path)
    return fastconv.load(path)


@pytest.fixture(scope="session")
def report(model):
    picture = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    return fastconv.Report.of_picture(model, picture, runs=1)


@pytest.fixture(scope="session")
def page_file(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.save(path)
    return path


def missing(package):
    """Skip, but fail where every package should be there."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {package}")


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("the Python package playwright")
    chromium = shutil.which("chromium") or missing("Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, page_file):
    """Opens the page; at the end it has said nothing on the console and asked for no other file."""
    pages, said, asked, files = [], [], [], set()

    def open_page(file=page_file, **context):
        page = browser.new_page(**context)
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        files.add(file.as_uri())
        page.wait_for_selector("#accuracy svg")  # charts are drawn when their width is known
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not said
    assert {url for url in asked if not url.startswith("data:")} == files
