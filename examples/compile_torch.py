"""A PyTorch network that fastconv runs in parts: torch.compile leaves to torch what no model computes.

    TORCH_LOGS=fastconv.torch_backend,graph_breaks python examples/compile_torch.py

The spectrum in the middle has complex numbers, and Python decides by a value whether the last layers run. torch's log has the
reasons; the answer is that of the network without torch.compile.
"""

import torch
from torch import nn


class Network(nn.Module):
    """Convolutions, a spectrum, convolutions, a decision, convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(32, 8, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        y = torch.fft.rfft2(y).abs()[..., :32].sqrt()
        y = self.second(y)
        if y.mean() > 0:
            y = self.third(y)
        return y


def main() -> None:
    torch.manual_seed(0)
    net, x = Network().eval(), torch.randn(1, 3, 64, 64)
    compiled = torch.compile(net, backend="fastconv")
    with torch.no_grad():
        found, wanted = compiled(x), net(x)
    print(f"largest difference from eager mode: {(found - wanted).abs().max():.1e}, largest value {wanted.abs().max():.2f}")


if __name__ == "__main__":
    main()
