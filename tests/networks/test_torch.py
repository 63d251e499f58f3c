"""Networks as PyTorch exports them: answers as torch gives them, and no node of them left to Python.

They run where torch is installed (`pip install 'fastconv[torch]'`). Each network goes through torch's exporter into a file, as
users do it, through `convert` and through the reader: with `dynamo`, weights lie in a data file beside the model.
"""

import importlib.util
import pickle
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

import fastconv
from fastconv import kernels
from fastconv.convert import convert, read_weights

INSTALLED = all(importlib.util.find_spec(name) for name in ("torch", "onnxscript"))
if INSTALLED:
    import safetensors.torch
    import torch

    from ..support import torch_networks

NAMES = list(torch_networks.NETWORKS) if INSTALLED else []
ISAS = kernels.available("conv_direct")
needs_torch = pytest.mark.skipif(not INSTALLED, reason="torch and onnxscript are not installed: pip install 'fastconv[torch]'")
pytestmark = pytest.mark.filterwarnings("ignore:::torch", "ignore:::copyreg", "ignore:You are using the legacy")


@cache
def answers(name, exporter):
    """(torch's output, {isa: fastconv's output, and the nodes that its plan leaves to Python})."""
    module, x = torch_networks.build(name), torch_networks.image(name)
    with torch.no_grad():
        wanted = module(x).numpy()
    found = {}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        file = Path(folder, f"{name}.onnx")
        options = {"verbose": False} if exporter == "dynamo" else {"dynamo": False}
        torch.onnx.export(module, (x,), str(file), **options)
        if exporter == "dynamo" and name != "sound":  # whose weights are small
            assert file.with_name(f"{name}.onnx.data").exists()
        convert(file, file.with_suffix(".json"))
        for isa in ISAS:
            patch.setenv("FASTCONV_ISA", isa)
            model = fastconv.load(file.with_suffix(".json"))
            found[isa] = model(x.numpy()), [e.label for e in model.plan().python_steps]
    return wanted, found


def relative_error(y, wanted):
    """The largest error, relative to the largest value."""
    assert (y.shape, y.dtype) == (wanted.shape, wanted.dtype)
    return np.abs(y - wanted).max() / np.abs(wanted).max()


@needs_torch
@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("name", NAMES)
def test_exported_network(name, exporter):
    wanted, found = answers(name, exporter)
    for isa, (y, python) in found.items():
        assert relative_error(y, wanted) < 1e-4, isa
        assert python == [], isa


@needs_torch
@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("name", ["sound", "video"])
def test_one_and_three_spatial_axes(name, exporter):
    """One axis on the kernels; three axes by the references."""
    wanted, found = answers(name, exporter)
    for isa, (y, python) in found.items():
        assert relative_error(y, wanted) < 1e-4, isa
        assert name == "video" or python == [], isa


# ---- other weights


@needs_torch
@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenetv3", "shufflenetv2", "convnext_tiny", "pose", "sound"])
def test_weights_of_a_state_dict(name, exporter, tmp_path):
    """The graph is of a network that was not trained, whose equal weights exporters share, and has BatchNorm folded."""
    module, x = torch_networks.build(name), torch_networks.image(name)
    torch.manual_seed(1)
    options = {"verbose": False} if exporter == "dynamo" else {"dynamo": False}
    torch.onnx.export(torch_networks.make(name), (x,), str(tmp_path / "net.onnx"), **options)
    state = module.state_dict()
    torch.save(state, tmp_path / "new.pt")
    safetensors.torch.save_file(state, tmp_path / "new.safetensors")  # sorted by name
    wanted = answer(module, x).numpy()
    for weights in (tmp_path / "new.pt", tmp_path / "new.safetensors", state):
        placed = convert(tmp_path / "net.onnx", tmp_path / "out.json", weights=weights).placed
        assert relative_error(fastconv.load(tmp_path / "out.json")(x.numpy()), wanted) < 1e-4
        assert {p.source for p in placed} | {p.norm for p in placed} > {
            k for k in state if k.endswith(".weight") and state[k].ndim > 1
        }


@needs_torch
@pytest.mark.parametrize(
    "options", [{"optimize": False, "verbose": False}, {"dynamo": False, "do_constant_folding": False, "training": "PRESERVE"}]
)
@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny", "yolo"])
def test_exports_that_keep_all_names(name, options, tmp_path):
    """Exported as in the guide: nothing is folded, and no node is left to Python."""
    module, x = torch_networks.build(name), torch_networks.image(name)
    if "training" in options:
        options = {**options, "training": getattr(torch.onnx.TrainingMode, options["training"])}
    wanted = answer(module, x).numpy()
    torch.onnx.export(module, (x,), str(tmp_path / "net.onnx"), **options)
    graph = onnx.load(tmp_path / "net.onnx", load_external_data=False).graph
    names = {t.name for t in graph.initializer} | {n.output[0] for n in graph.node if n.op_type == "Identity"}
    assert names >= {key for key in module.state_dict() if not key.endswith("num_batches_tracked")}
    model = fastconv.load(tmp_path / "net.onnx")
    assert relative_error(model(x.numpy()), wanted) < 1e-4
    assert model.plan().python_steps == []


@needs_torch
@pytest.mark.parametrize("name", ["resnet18", "unet", "sound"])
def test_weights_for_a_model_of_from_torch(name, tmp_path):
    """Its passes fold BatchNorm, and weights keep their names."""
    module, x = torch_networks.build(name), torch_networks.image(name)
    fastconv.from_torch(torch_networks.make(name), x).save(tmp_path / "net.json")
    safetensors.torch.save_file(module.state_dict(), tmp_path / "new.safetensors")
    convert(tmp_path / "net.json", tmp_path / "out.json", weights=tmp_path / "new.safetensors")
    y = fastconv.load(tmp_path / "out.json")(x.numpy())
    assert relative_error(y, answer(module, x).numpy()) < 1e-4


@needs_torch
@pytest.mark.parametrize("old", [False, True])
def test_checkpoints(tmp_path, old):
    """A state dict alone, in a checkpoint under common names, with the prefix of DataParallel, and of Parameters."""
    state = Scaled().state_dict()
    arrays = {key: x.numpy() for key, x in state.items()}
    parameters = {key: torch.nn.Parameter(x) if x.is_floating_point() else x for key, x in state.items()}
    several = {f"module.{key}": x for key, x in state.items()}
    for saved in (
        state,
        parameters,
        several,
        *({key: state, "epoch": 3} for key in ("state_dict", "model_state_dict", "model")),
    ):
        torch.save(saved, tmp_path / "net.pth", _use_new_zipfile_serialization=not old)
        read = read_weights(tmp_path / "net.pth")
        assert read.keys() == arrays.keys()
        for key, array in read.items():
            np.testing.assert_array_equal(array, arrays[key])


@needs_torch
def test_checkpoints_that_hold_no_state_dict(tmp_path):
    path = tmp_path / "net.pt"
    for saved, message in (
        (Scaled(), "is not a state dict of PyTorch, as torch.save"),  # which would run code
        ([torch.zeros(3)], "expected tensors by name, got a list"),
        ({}, "expected tensors by name, got nothing"),
        ({"epoch": 3, "loss": 0.5}, "expected tensors by name, got 'epoch', 'loss'"),
        ({"w": torch.zeros(3, dtype=torch.bfloat16)}, "has a tensor that NumPy cannot hold"),
    ):
        torch.save(saved, path)
        with pytest.raises(fastconv.ModelError, match=message) as e:
            read_weights(path)
        assert "\n" not in str(e.value)
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(fastconv.ModelError, match="is not a state dict of PyTorch"):
        read_weights(path)


def test_checkpoints_name_the_extra(monkeypatch, tmp_path):
    (tmp_path / "net.pt").write_bytes(b"PK\x03\x04")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(fastconv.ModelError, match=r"torch package: pip install 'fastconv\[torch\]'"):
        read_weights(tmp_path / "net.pt")


# ---- from_torch


class Scaled(torch.nn.Module if INSTALLED else object):
    """Two inputs, two outputs, and layers that differ in training."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.drop = torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.BatchNorm2d(5), torch.nn.Dropout(0.5)

    def forward(self, x, scale):
        y = self.drop(self.norm(self.conv(x)))
        return y * scale, y.mean((2, 3))


def answer(module, *inputs):
    with torch.no_grad():
        return module(*inputs)


@needs_torch
def test_from_torch_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    module, x = torch_networks.build("mobilenetv3"), torch_networks.image("mobilenetv3")
    model = fastconv.from_torch(module, x, threads=1)
    assert relative_error(model(x.numpy()), answer(module, x).numpy()) < 1e-4
    assert model.threads == 1
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []  # torch makes an empty folder for its cache
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again(x.numpy()), model(x.numpy()))


@needs_torch
@pytest.mark.parametrize("name", ["resnet18", "shufflenetv2", "fcn", "yolo"])
def test_from_torch_with_open_axes(name):
    """Other batches and, where the network takes them, other sizes than the example's."""
    module, x = torch_networks.build(name), torch_networks.image(name)
    model = fastconv.from_torch(module, x, dynamic_axes={0: "N", 2: "H", 3: "W"})
    assert model.inputs[0].shape == ("N", 3, "H", "W")
    for shape in ((1, 3, 64, 64), (3, 3, 96, 64)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        assert relative_error(model(x.numpy()), answer(module, x).numpy()) < 1e-4
        assert model.plan({model.inputs[0].name: shape}).python_steps == []


@needs_torch
def test_from_torch_with_several_inputs_in_evaluation_mode():
    """Every layer of the module stays in the mode that it was in."""
    module = Scaled().train()
    module.norm.eval()
    x, scale = torch.randn(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
    model = fastconv.from_torch(module, (x.numpy(), scale), dynamic_axes=({0: "N"}, {0: "N"}))
    assert (module.training, module.drop.training, module.norm.training) == (True, True, False)
    assert [i.shape for i in model.inputs] == [("N", 3, 8, 8), ("N", 1, 8, 8)]
    x, scale = torch.randn(3, 3, 8, 8), torch.rand(3, 1, 8, 8)
    names = [i.name for i in model.inputs]
    found = model.run(dict(zip(names, (x.numpy(), scale.numpy()), strict=True)))
    for y, wanted in zip(found, answer(module.eval(), x, scale), strict=True):
        assert relative_error(y, wanted.numpy()) < 1e-4


@needs_torch
def test_from_torch_refuses_what_makes_no_sense():
    module, x = Scaled(), torch.randn(1, 3, 8, 8)
    with pytest.raises(fastconv.InputError, match=r"module: expected a torch\.nn\.Module, got function"):
        fastconv.from_torch(answer, x)
    with pytest.raises(fastconv.InputError, match="example: expected a tensor or an array, or a tuple of them, got list"):
        fastconv.from_torch(module, [x, x])
    with pytest.raises(fastconv.InputError, match="a tuple of 2 mappings"):
        fastconv.from_torch(module, (x, x), dynamic_axes={0: "N"})
    for wrong in ({4: "N"}, {0: 1}, {"x": "N"}):
        with pytest.raises(fastconv.InputError, match="with axes below 4"):
            fastconv.from_torch(module.conv, x, dynamic_axes=wrong)


class Branches(torch.nn.Module if INSTALLED else object):
    """A module that torch cannot trace: its control flow depends on values."""

    def forward(self, x):
        return x if x.sum() > 0 else -x


@needs_torch
def test_from_torch_says_what_torch_cannot_export():
    with pytest.raises(fastconv.ModelError, match="torch cannot export this Branches: "):
        fastconv.from_torch(Branches(), torch.randn(1, 3))


@pytest.mark.parametrize("missing", ["torch", "onnxscript"])
def test_from_torch_names_the_extra(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, "torch", None)
    if missing == "onnxscript":
        monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(fastconv.FastconvError, match=r"from_torch needs the package \w+: pip install 'fastconv\[torch\]'"):
        fastconv.from_torch(None, None)
