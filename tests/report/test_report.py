"""The document behind the page: layers, edges, memory, maps and errors; and its files."""

import json
import re

import numpy as np
import pytest

import fastconv
from fastconv.cli import main
from fastconv.report import pictures

from ..support.graphs import Net, normal
from ..support.rng import generator

pytestmark = pytest.mark.filterwarnings("ignore::fastconv.SlowPathWarning")
RNG = generator(__name__)


@pytest.fixture
def load(tmp_path):
    def load(graph):
        fastconv.onnx_json.write(graph, tmp_path / "net.json")
        return fastconv.load(tmp_path / "net.json")

    return load


def linked(document):
    """The edges, by the names of their ends."""
    names = [x.name for x in document.layers] + [*document.inputs, *document.outputs]
    return {(names[a], names[b]) for a, b in document.edges}


def test_edges_lead_from_the_inputs_through_every_layer_to_the_outputs(report):
    document = report.document
    count, inputs = len(document.layers), len(document.inputs)
    begins, ends = {a for a, _ in document.edges}, {b for _, b in document.edges}
    assert begins == {*range(count + inputs)}
    assert ends == {*range(count), *range(count + inputs, count + inputs + len(document.outputs))}
    assert all(a < b or a >= count for a, b in document.edges)


def test_layers_are_those_of_the_plan(model, report):
    plan = model.plan({"image": (1, 3, 16, 16)})
    document = report.document
    assert [(x.name, x.implementation) for x in document.layers if x.operator != "reorder"] == [
        (e.label, e.algorithm) for e in plan.entries if e.node
    ]
    assert document.memory.bytes == plan.arena_size
    assert len(document.memory.tenants) == len(plan.tenants)
    assert all(x.maps for x in document.layers if re.search("Conv|Concat|MaxPool", x.operator))
    for x in document.layers:
        assert (x.error is None) == (x.operator == "reorder")
        assert x.error is None or x.error.max <= 1e-5 * x.error.largest


def test_what_depends_on_data_is_a_layer_too(load):
    net = Net()
    x = net.input("x", 1, 4, 6, 6)
    y = net("Relu", x, name="relu")
    found = net("NonZero", y, name="nonzero")
    last = net("Mul", net("Cast", found, to=1, name="cast"), 2.0, name="last")
    report = load(net.graph(y, last)).report(RNG.standard_normal((1, 4, 6, 6)).astype(np.float32), runs=1)
    links = linked(report.document)
    assert {("relu", "nonzero"), ("nonzero", "cast")} <= links or {("relu", "nonzero"), ("nonzero", "cast+last")} <= links
    assert next(x for x in report.document.layers if x.name == "nonzero").reason == "a size that depends on elements"


def test_activations_are_held_a_few_at_a_time(model, monkeypatch):
    runs = []
    run = type(model).run
    monkeypatch.setattr(pictures, "HELD", 1)
    monkeypatch.setattr(type(model), "run", lambda self, x, names: runs.append(names) or run(self, x, names))
    layers = model.summary({"image": (1, 3, 16, 16)}).layers
    x = normal(RNG, 1, 3, 16, 16)
    all_maps = pictures.layer_maps(model, x, layers)
    assert len(runs) >= len(all_maps) > 3
    assert {len(names) for names in runs} == {1}
    monkeypatch.setattr(pictures, "MOST_BYTES", sum(len(p.source) for p in all_maps.values()) - 1)
    assert len(pictures.layer_maps(model, x, layers)) == len(all_maps) - 1


def test_the_document_is_json_without_a_bracket(report):
    html = report.html()
    (text,) = re.findall('<script type="application/json" id="document">(.*?)</script>', html, re.DOTALL)
    assert "<" not in text
    assert json.loads(text)["layers"][0]["name"] == report.document.layers[0].name


def test_the_command_writes_the_page_of_a_picture(tmp_path, monkeypatch, capsys):
    picture, target = tmp_path / "digit.png", tmp_path / "report.html"
    fastconv.vision.write(picture, np.full((9, 12, 3), 80, np.uint8))
    assert main(["report", str(fastconv.data.DIGITS), "--image", str(picture), "--runs", "1", "-o", str(target)]) == 0
    out, err = capsys.readouterr()
    assert out == f"wrote {target}\n"
    assert "preprocess: 0..1 (guessed: one channel)" in err
    assert "<title>digits.json</title>" in target.read_text("utf-8")


def test_what_no_picture_fits_is_an_error(model, load, tmp_path, capsys):
    fastconv.vision.write(tmp_path / "a.png", np.zeros((9, 9, 3), np.uint8))
    net = Net()
    load(net.graph(net("Relu", net.input("x", 2, 5))))
    assert main(["report", str(tmp_path / "net.json"), "--image", str(tmp_path / "a.png")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    net = Net()
    masks = load(net.graph(net("Conv", net.input("x", 1, 3, 8, 8), normal(RNG, 1, 3, 1, 1))))
    with pytest.raises(fastconv.InputError, match="labels are names of classes"):
        fastconv.Report.of_picture(masks, np.zeros((9, 9, 3), np.uint8), labels=["cat"])


def test_a_picture_may_have_another_size(load):
    net = Net()
    masks = load(net.graph(net("Conv", net.input("x", 1, 3, "H", "W"), normal(RNG, 1, 3, 1, 1))))
    report = fastconv.Report.of_picture(masks, np.zeros((9, 9, 3), np.uint8), size=(32, 64), runs=1)
    assert report.document.layers[-1].output == "1×1×32×64"
    assert "64×32 pixels" in report.document.answer.pictures[1].text


def test_a_network_of_nothing_has_a_page(load):
    net = Net()
    document = load(net.graph(net.input("x", 2, 5))).report(np.zeros((2, 5), np.float32)).document
    assert linked(document) == {("x 2×5 float32", "x 2×5 float32")}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--image", "none.png"], "none.png: No such file or directory"),
        (["--image", "text.png"], "text.png: "),
        (["--image", "a.png", "--image", "b.png"], "report: expected one picture"),
        (["--image", "a.png", "-i", "x.npy"], "report: expected one picture"),
        (["--labels", "text.png"], "--labels is for pictures: give one with --image FILE"),
        (["-o", "no/report.html"], "there is no folder 'no'"),
    ],
)
def test_a_wrong_command_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("a text")
    try:
        code = main(["report", str(fastconv.data.DIGITS), *arguments])
    except SystemExit as e:  # argparse
        code = e.code
    assert code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "report.html").exists()
