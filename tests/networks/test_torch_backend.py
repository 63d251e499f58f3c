"""torch.compile with the backend "fastconv": the answers of eager mode, and in eager mode what no model can compute.

They run where torch is installed: `.ci/torch`.
"""

import copy
import logging
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import fastconv

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from fastconv import torch_backend  # noqa: E402
from fastconv.torch_backend import compile_graph  # noqa: E402

from ..support import torch_networks  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:::torch", "ignore:::copyreg")
STRICT = {"strict": True}


@pytest.fixture(autouse=True)
def _nothing_compiled_yet():
    torch._dynamo.reset()
    torch.manual_seed(0)


@pytest.fixture
def models(monkeypatch):
    """The models that the backend makes."""
    made = []

    def export(*args, **options):
        made.append(torch_export(*args, **options))
        return made[-1]

    torch_export = torch_backend.export
    monkeypatch.setattr(torch_backend, "export", export)
    return made


@pytest.fixture
def reasons(caplog):
    """What the log says of eager mode."""
    caplog.set_level(logging.INFO, torch_backend.__name__)
    return lambda: [r.getMessage() for r in caplog.records if "eager" in r.getMessage()]


def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()).eval()


def compiled(module, **options):
    return torch.compile(module, backend=compile_graph, **options)


def assert_same(found, wanted):
    """Results of one structure, with equal layouts and errors that are small beside the largest value."""
    if not isinstance(wanted, torch.Tensor):
        assert len(found) == len(wanted)
        for pair in zip(found, wanted, strict=True):
            assert_same(*pair)
        return
    assert (found.dtype, found.shape, found.stride()) == (wanted.dtype, wanted.shape, wanted.stride())
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3", "unet", "vit"])
@torch.no_grad()
def test_whole_networks(name, models):
    """One graph, of which nothing is left."""
    module, x = torch_networks.build(name), torch_networks.image(name)
    assert_same(compiled(module, fullgraph=True, options=STRICT)(x), module(x))
    (model,) = models
    assert [i.shape for i in model.inputs] == [tuple(x.shape)]  # weights are constants
    assert (model.threads, model.plan().python_steps) == (torch.get_num_threads(), [])


@torch.no_grad()
def test_weights_that_change(models):
    module, x = net(), torch.randn(1, 3, 8, 8)
    function = compiled(module, options=STRICT)

    def check(count):
        for _ in range(2):
            assert_same(function(x), module(x))
        assert len(models) == count

    check(1)
    module[0].weight.mul_(2)  # as an optimizer's step
    check(2)
    module[1].running_mean.add_(1)
    check(3)
    module[0].weight.data = torch.randn(8, 3, 3, 3)
    check(4)
    module.load_state_dict(net().state_dict(), assign=True)
    check(5)


def test_gradients_are_torch_s(reasons):
    module, x = net(), torch.randn(1, 3, 8, 8)
    compiled(module)(x).sum().backward()
    found = module[0].weight.grad.clone()
    module.zero_grad()
    module(x).sum().backward()
    assert torch.equal(found, module[0].weight.grad)
    (reason,) = reasons()
    assert reason.startswith("a graph runs in eager mode: its results need gradients; call it under torch.no_grad()")


def test_frozen_weights_need_no_context(models):
    module, x = net().requires_grad_(False), torch.randn(1, 3, 8, 8)
    assert_same(compiled(module, options=STRICT)(x), module(x))
    assert len(models) == 1


@torch.no_grad()
def test_weights_that_change_with_each_call(models, reasons):
    module, x = net(), torch.randn(1, 3, 8, 8)
    function = compiled(module)
    for _ in range(6):
        module[0].weight.mul_(1.5)
        assert_same(function(x), module(x))
    assert len(models) == torch_backend.MOST_CHANGES
    assert [r.partition("mode: ")[2] for r in reasons()] == ["its weights change with each call"]


@torch.no_grad()
def test_training_mode(models, reasons):
    """The running statistics are updated, and Dropout draws what it draws in eager mode."""
    found = nn.Sequential(net(), nn.Dropout(0.5)).train()
    wanted = copy.deepcopy(found)
    x = torch.randn(2, 3, 8, 8)
    for _ in range(2):
        torch.manual_seed(1)
        y = compiled(found)(x)
        torch.manual_seed(1)
        assert_same(y, wanted(x))
    for a, b in zip(found.buffers(), wanted.buffers(), strict=True):
        assert torch.equal(a, b)
    assert models == []
    assert reasons()[0].endswith("it writes to the module's weights or statistics; call .eval() on the module")


@pytest.mark.parametrize(
    "module",
    [nn.InstanceNorm2d(8), nn.BatchNorm2d(8, track_running_stats=False), nn.GroupNorm(2, 8), nn.AdaptiveAvgPool2d(3)],
    ids=lambda m: type(m).__name__,
)
@torch.no_grad()
def test_layers_that_the_exporter_does_not_know_as_they_are(module, models):
    module, x = nn.Sequential(net(), module).eval(), torch.randn(2, 3, 8, 8)
    assert_same(compiled(module, fullgraph=True, options=STRICT)(x), module(x))


def test_open_sizes(models):
    """One model for all sizes, also where the graph computes with them."""

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()

        def forward(self, x):
            y = self.net(x)
            return F.interpolate(y, scale_factor=2.0).flatten(2).transpose(1, 2), y.mean((2, 3))

    module = Tokens().eval()
    function = compiled(module, dynamic=True, fullgraph=True, options=STRICT)
    for shape in ((2, 3, 8, 9), (3, 3, 10, 6), (2, 3, 7, 12)):
        x = torch.randn(shape)
        with torch.inference_mode():
            assert_same(function(x), module(x))
    assert len(models) == 1


@torch.no_grad()
def test_layouts_of_inputs_and_outputs(models):
    module = net()
    function = compiled(module, options=STRICT)
    x = torch.randn(2, 3, 8, 8)
    for y in (x, x.to(memory_format=torch.channels_last), torch.randn(2, 3, 8, 16)[..., ::2], x.permute(0, 1, 3, 2)):
        assert_same(function(y), module(y))


@torch.no_grad()
def test_what_writes_to_inputs_and_returns_views_of_them():
    module = net()

    def forward(x):
        x.mul_(2)
        y = module(x)
        return y, x[0], y.transpose(1, 2)

    x = torch.randn(1, 3, 8, 8)
    twin = x.clone()
    found, wanted = compiled(forward)(x), forward(twin)
    assert_same(found, wanted)
    assert torch.equal(x, twin)
    assert found[1].data_ptr() == x.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@torch.no_grad()
def test_other_types_are_left(dtype, models, reasons):
    module, x = net().to(dtype), torch.randn(1, 3, 8, 8, dtype=dtype)
    assert torch.equal(compiled(module)(x), module(x))
    assert models == []
    assert all(f"a tensor is {dtype}" in r and "convolution" in reasons()[0] for r in reasons()), reasons()


class Halves(nn.Module):
    """Two networks with something between them."""

    def __init__(self, between):
        super().__init__()
        self.first, self.between, self.second = net(), between, nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.second(self.between(self.first(x)))


@torch.no_grad()
def test_an_operator_that_onnx_does_not_have(models, reasons):
    module, x = Halves(lambda y: torch.special.bessel_j0(y)).eval(), torch.randn(1, 3, 8, 8)
    assert_same(compiled(module)(x), module(x))
    assert len(models) == 2
    (reason,) = reasons()
    assert reason.startswith("aten.special_bessel_j0.default (File ")
    assert reason.endswith("runs in eager mode: torch's ONNX exporter does not translate it, or it is random")


@torch.no_grad()
def test_a_branch_that_depends_on_values(models):
    """dynamo breaks the graph; before and after the break there is a model."""
    module = Halves(lambda y: y if y.mean() > 0.2 else -y).eval()
    function = compiled(module)
    for scale in (0.0, 5.0):
        x = scale * torch.randn(1, 3, 8, 8)
        assert_same(function(x), module(x))
    assert len(models) == 2


@torch.no_grad()
def test_a_part_that_cannot_be_exported(monkeypatch, reasons):
    """One reason, and the answer of eager mode; an error if the user wants that."""

    def export(*_, **__):
        raise fastconv.ModelError("node 'x': not so") from None

    monkeypatch.setattr(torch_backend, "export", export)
    module, x = net(), torch.randn(1, 3, 8, 8)
    function = compiled(module)
    for _ in range(2):
        assert torch.equal(function(x), module(x))
    (reason,) = reasons()
    assert reason.startswith("a part of ")
    assert reason.endswith("nodes runs in eager mode: node 'x': not so")
    with pytest.raises(fastconv.UnsupportedError, match=r"a part of .* cannot run on fastconv: node 'x': not so"):
        torch.compile(module, backend=compile_graph, options=STRICT)(x)


@torch.no_grad()
def test_fake_tensors():
    module, x = net(), torch.randn(1, 3, 8, 8)
    function = compiled(module)
    function(x)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert function(mode.from_tensor(x)).shape == (1, 8, 8, 8)


@torch.no_grad()
def test_options(models):
    module, x = net(), torch.randn(1, 3, 8, 8)
    compiled(module, options={"threads": 1, "accuracy": "exact"})(x)
    assert models[0].threads == 1
    with pytest.raises(Exception, match="options: there is no option 'thread'; did you mean 'threads'"):
        compiled(module, options={"thread": 1})(x)


def test_torch_finds_the_backend():
    """By the entry point, which an installed checkout has."""
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    module, _, name = pyproject["project"]["entry-points"]["torch_dynamo_backends"]["fastconv"].partition(":")
    assert getattr(import_module(module), name) is compile_graph
    if "site-packages" in fastconv.__file__:
        assert "fastconv" in torch._dynamo.list_backends()
