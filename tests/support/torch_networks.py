"""Convolutional networks as plain torch modules, in the form that their papers gave them, with random weights.

`NETWORKS` maps a name to (a function that makes the module, the sides of the square image it is tried on). The weights keep the
size of activations on their way, and BatchNormalization has statistics of its own, so that folding it wrongly shows.
"""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional as F


class ConvNorm(nn.Sequential):
    """Convolution, BatchNormalization, activation (None: none)."""

    def __init__(self, inputs, outputs, kernel=3, stride=1, groups=1, act=nn.ReLU, dilation=1):
        conv = nn.Conv2d(inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation, groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), *([act()] if act else []))


class SqueezeExcite(nn.Module):
    """Scales each channel by two small layers of the means of all channels (Hu et al., arXiv:1709.01507)."""

    def __init__(self, channels, squeezed, act=nn.ReLU, gate=nn.Sigmoid):
        super().__init__()
        layers = nn.Conv2d(channels, squeezed, 1), act(), nn.Conv2d(squeezed, channels, 1), gate()
        self.scale = nn.Sequential(nn.AdaptiveAvgPool2d(1), *layers)

    def forward(self, x):
        return x * self.scale(x)


class Add(nn.Module):
    """A residual: body(x) + shortcut(x), then the activation."""

    def __init__(self, body, shortcut=None, act=None):
        super().__init__()
        self.body, self.shortcut, self.act = body, shortcut or nn.Identity(), act or nn.Identity()

    def forward(self, x):
        return self.act(self.body(x) + self.shortcut(x))


class Concat(nn.Module):
    """The channels of every branch."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def classifier(channels, classes=1000, *before):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *before, nn.Linear(channels, classes))


# ---- classification


def resnet_stages(depths, bottleneck, dilate=False):
    """He et al., arXiv:1512.03385; `dilate` keeps the resolution of the last stage, as segmentation wants it."""
    layers, C = [ConvNorm(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
    for stage, depth in enumerate(depths):
        width = 64 << stage
        OC = 4 * width if bottleneck else width
        dilation = 2 if dilate and stage == 3 else 1
        for block in range(depth):
            stride = 2 if stage and not block and dilation == 1 else 1
            if bottleneck:
                middle = ConvNorm(width, width, 3, stride, dilation=dilation)
                body = [ConvNorm(C, width, 1), middle, ConvNorm(width, OC, 1, act=None)]
            else:
                body = [ConvNorm(C, OC, 3, stride, dilation=dilation), ConvNorm(OC, OC, act=None, dilation=dilation)]
            shortcut = ConvNorm(C, OC, 1, stride, act=None) if C != OC or stride > 1 else None
            layers.append(Add(nn.Sequential(*body), shortcut, nn.ReLU()))
            C = OC
    return nn.Sequential(*layers), C


def resnet18():
    stages, C = resnet_stages((2, 2, 2, 2), bottleneck=False)
    return nn.Sequential(stages, classifier(C))


def resnet50():
    stages, C = resnet_stages((3, 4, 6, 3), bottleneck=True)
    return nn.Sequential(stages, classifier(C))


def vgg11():
    """Simonyan and Zisserman, arXiv:1409.1556, its fully connected layers narrowed."""
    layers, C = [], 3
    for OC in (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"):
        if OC == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(C, OC, 3, padding=1), nn.ReLU(inplace=True)]
            C = OC
    head = nn.Linear(512 * 49, 256), nn.ReLU(True), nn.Dropout(), nn.Linear(256, 256), nn.ReLU(True), nn.Dropout()
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten(), *head, nn.Linear(256, 1000))


def densenet121():
    """Huang et al., arXiv:1608.06993."""

    def before(C, OC, kernel):
        return nn.BatchNorm2d(C), nn.ReLU(), nn.Conv2d(C, OC, kernel, padding=kernel // 2, bias=False)

    layers, C = [ConvNorm(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
    for stage, depth in enumerate((6, 12, 24, 16)):
        if stage:
            C //= 2
            layers += [*before(2 * C, C, 1), nn.AvgPool2d(2, 2)]
        for _ in range(depth):
            layers.append(Concat(nn.Identity(), nn.Sequential(*before(C, 128, 1), *before(128, 32, 3))))
            C += 32
    return nn.Sequential(*layers, nn.BatchNorm2d(C), nn.ReLU(), classifier(C))


def googlenet():
    """Szegedy et al., arXiv:1409.4842, with BatchNormalization."""
    layers = [ConvNorm(3, 64, 7, 2), nn.MaxPool2d(3, 2, ceil_mode=True), ConvNorm(64, 64, 1), ConvNorm(64, 192)]
    C = 192
    for row in (
        "M", (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64),
        "M", (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128), "m", (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
    ):  # fmt: skip
        if isinstance(row, str):
            layers.append(nn.MaxPool2d(3 if row == "M" else 2, 2, ceil_mode=True))
            continue
        one, reduce3, three, reduce5, five, project = row
        layers.append(
            Concat(
                ConvNorm(C, one, 1),
                nn.Sequential(ConvNorm(C, reduce3, 1), ConvNorm(reduce3, three)),
                nn.Sequential(ConvNorm(C, reduce5, 1), ConvNorm(reduce5, five)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), ConvNorm(C, project, 1)),
            )
        )
        C = one + three + five + project
    return nn.Sequential(*layers, classifier(C))


def inverted(C, hidden, OC, kernel, stride, act, squeeze=None):
    """The block of MobileNetV2 and its heirs: 1x1, depthwise, `squeeze`, 1x1 (Sandler et al., arXiv:1801.04381)."""
    layers = [] if hidden == C else [ConvNorm(C, hidden, 1, act=act)]
    layers += [
        ConvNorm(hidden, hidden, kernel, stride, hidden, act),
        squeeze or nn.Identity(),
        ConvNorm(hidden, OC, 1, act=None),
    ]
    body = nn.Sequential(*layers)
    return Add(body) if stride == 1 and C == OC else body


def mobilenetv3():
    """The small one of Howard et al., arXiv:1905.02244."""
    layers, C = [ConvNorm(3, 16, 3, 2, act=nn.Hardswish)], 16
    for kernel, hidden, OC, squeezed, act, stride in (
        (3, 16, 16, True, nn.ReLU, 2), (3, 72, 24, False, nn.ReLU, 2), (3, 88, 24, False, nn.ReLU, 1),
        (5, 96, 40, True, nn.Hardswish, 2), (5, 240, 40, True, nn.Hardswish, 1), (5, 240, 40, True, nn.Hardswish, 1),
        (5, 120, 48, True, nn.Hardswish, 1), (5, 144, 48, True, nn.Hardswish, 1), (5, 288, 96, True, nn.Hardswish, 2),
        (5, 576, 96, True, nn.Hardswish, 1), (5, 576, 96, True, nn.Hardswish, 1),
    ):  # fmt: skip
        squeeze = SqueezeExcite(hidden, max(8, (hidden // 4 + 4) // 8 * 8), gate=nn.Hardsigmoid) if squeezed else None
        layers.append(inverted(C, hidden, OC, kernel, stride, act, squeeze))
        C = OC
    layers.append(ConvNorm(C, 576, 1, act=nn.Hardswish))
    return nn.Sequential(*layers, classifier(1024, 1000, nn.Linear(576, 1024), nn.Hardswish(), nn.Dropout(0.2)))


def efficientnet_b0():
    """Tan and Le, arXiv:1905.11946."""
    layers, C = [ConvNorm(3, 32, 3, 2, act=nn.SiLU)], 32
    for expand, kernel, stride, OC, depth in (
        (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    ):  # fmt: skip
        for block in range(depth):
            squeeze = SqueezeExcite(C * expand, C // 4, nn.SiLU)
            layers.append(inverted(C, C * expand, OC, kernel, 1 if block else stride, nn.SiLU, squeeze))
            C = OC
    return nn.Sequential(*layers, ConvNorm(C, 1280, 1, act=nn.SiLU), classifier(1280, 1000, nn.Dropout(0.2)))


class Shuffle(nn.Module):
    """The block of ShuffleNetV2: half of the channels pass, then both halves are shuffled (Ma et al., arXiv:1807.11164)."""

    def __init__(self, C, OC, stride):
        super().__init__()
        self.stride, half = stride, OC // 2
        own = C if stride > 1 else half
        self.left = nn.Sequential(ConvNorm(C, C, 3, 2, C, None), ConvNorm(C, half, 1)) if stride > 1 else None
        self.right = nn.Sequential(ConvNorm(own, half, 1), ConvNorm(half, half, 3, stride, half, None), ConvNorm(half, half, 1))

    def forward(self, x):
        left, right = (self.left(x), self.right(x)) if self.left else x.chunk(2, dim=1)
        right = right if self.left else self.right(right)
        y = torch.cat((left, right), 1)
        N, C, H, W = y.shape
        return y.view(N, 2, C // 2, H, W).transpose(1, 2).reshape(N, C, H, W)


def shufflenetv2():
    layers, C = [ConvNorm(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1)], 24
    for OC, depth in ((116, 4), (232, 8), (464, 4)):
        for block in range(depth):
            layers.append(Shuffle(C, OC, 1 if block else 2))
            C = OC
    return nn.Sequential(*layers, ConvNorm(C, 1024, 1), classifier(1024))


class LayerNormChannels(nn.LayerNorm):
    """LayerNorm over the channels of a feature map, by way of channels last."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """Liu et al., arXiv:2201.03545: a 7x7 depthwise convolution, then two linear layers over channels last."""

    def __init__(self, C):
        super().__init__()
        self.depthwise = nn.Conv2d(C, C, 7, padding=3, groups=C)
        self.layers = nn.Sequential(nn.LayerNorm(C, 1e-6), nn.Linear(C, 4 * C), nn.GELU(), nn.Linear(4 * C, C))
        self.scale = nn.Parameter(torch.rand(C) * 0.4 + 0.1)

    def forward(self, x):
        return x + (self.scale * self.layers(self.depthwise(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def convnext_tiny():
    layers, C = [nn.Conv2d(3, 96, 4, 4), LayerNormChannels(96, 1e-6)], 96
    for OC, depth in ((96, 3), (192, 3), (384, 9), (768, 3)):
        if OC != C:
            layers += [LayerNormChannels(C, 1e-6), nn.Conv2d(C, OC, 2, 2)]
        layers += [ConvNeXtBlock(OC) for _ in range(depth)]
        C = OC
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), LayerNormChannels(C, 1e-6), nn.Flatten(), nn.Linear(C, 1000))


def regnet():
    """RegNetY-400MF of Radosavovic et al., arXiv:2003.13678: groups of 8 channels."""
    layers, C = [ConvNorm(3, 32, 3, 2)], 32
    for OC, depth in ((48, 1), (104, 3), (208, 6), (440, 6)):
        for block in range(depth):
            stride = 1 if block else 2
            squeeze = SqueezeExcite(OC, C // 4)
            body = ConvNorm(C, OC, 1), ConvNorm(OC, OC, 3, stride, OC // 8), squeeze, ConvNorm(OC, OC, 1, act=None)
            shortcut = ConvNorm(C, OC, 1, stride, act=None) if stride > 1 or C != OC else None
            layers.append(Add(nn.Sequential(*body), shortcut, nn.ReLU()))
            C = OC
    return nn.Sequential(*layers, classifier(C))


def mnasnet():
    """MNASNet-B1 of Tan et al., arXiv:1807.11626."""
    layers = [ConvNorm(3, 32, 3, 2), ConvNorm(32, 32, groups=32), ConvNorm(32, 16, 1, act=None)]
    C = 16
    for kernel, stride, OC, expand, depth in (
        (3, 2, 24, 3, 3), (5, 2, 40, 3, 3), (5, 2, 80, 6, 3), (3, 1, 96, 6, 2), (5, 2, 192, 6, 4), (3, 1, 320, 6, 1)
    ):  # fmt: skip
        for block in range(depth):
            layers.append(inverted(C, C * expand, OC, kernel, 1 if block else stride, nn.ReLU))
            C = OC
    return nn.Sequential(*layers, ConvNorm(C, 1280, 1), classifier(1280, 1000, nn.Dropout(0.2)))


# ---- maps


class Resized(nn.Module):
    """The body's map in the size of the image."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return F.interpolate(self.body(x), size=x.shape[-2:], mode="bilinear", align_corners=False)


class PooledBranch(nn.Sequential):
    """The means of all channels, spread over the map again."""

    def forward(self, x):
        return F.interpolate(super().forward(x), size=x.shape[-2:], mode="bilinear", align_corners=False)


def fcn():
    """The head of Long et al., arXiv:1411.4038, on a ResNet-18 whose last stage is dilated."""
    stages, C = resnet_stages((2, 2, 2, 2), bottleneck=False, dilate=True)
    return Resized(nn.Sequential(stages, ConvNorm(C, C // 4), nn.Dropout(0.1), nn.Conv2d(C // 4, 21, 1)))


def deeplabv3():
    """The head of Chen et al., arXiv:1706.05587: dilations side by side."""
    stages, C = resnet_stages((2, 2, 2, 2), bottleneck=False, dilate=True)
    pyramid = Concat(
        ConvNorm(C, 256, 1),
        *(ConvNorm(C, 256, dilation=d) for d in (12, 24, 36)),
        PooledBranch(nn.AdaptiveAvgPool2d(1), ConvNorm(C, 256, 1)),
    )
    head = pyramid, ConvNorm(5 * 256, 256, 1), nn.Dropout(0.5), ConvNorm(256, 256), nn.Conv2d(256, 21, 1)
    return Resized(nn.Sequential(stages, *head))


class UNet(nn.Module):
    """Ronneberger et al., arXiv:1505.04597, a quarter as wide: transposed convolutions up, or bilinear ones."""

    def __init__(self, bilinear=False):
        super().__init__()
        widths = (16, 32, 64, 128)

        def twice(C, OC):
            return nn.Sequential(ConvNorm(C, OC), ConvNorm(OC, OC))

        self.down = nn.ModuleList(twice(C, OC) for C, OC in itertools.pairwise((3, *widths, 256)))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.Conv2d(2 * C, C, 1))
            if bilinear
            else nn.ConvTranspose2d(2 * C, C, 2, 2)
            for C in reversed(widths)
        )
        self.merge = nn.ModuleList(twice(2 * C, C) for C in reversed(widths))
        self.last = nn.Conv2d(16, 2, 1)

    def forward(self, x):
        skips = []
        for i, down in enumerate(self.down):
            x = down(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat((skips.pop(), up(x)), 1))
        return self.last(x)


class CrossStage(nn.Module):
    """A block of YOLO's kind: half of the channels go through bottlenecks, each of which is kept."""

    def __init__(self, C, OC, depth, shortcut=True):
        super().__init__()
        half = OC // 2
        self.begin, self.end = ConvNorm(C, OC, 1, act=nn.SiLU), ConvNorm((2 + depth) * half, OC, 1, act=nn.SiLU)
        bodies = [nn.Sequential(ConvNorm(half, half, act=nn.SiLU), ConvNorm(half, half, act=nn.SiLU)) for _ in range(depth)]
        self.bodies = nn.ModuleList(Add(b) if shortcut else b for b in bodies)

    def forward(self, x):
        parts = list(self.begin(x).chunk(2, 1))
        for body in self.bodies:
            parts.append(body(parts[-1]))
        return self.end(torch.cat(parts, 1))


class Pyramid(nn.Module):
    """SPP in its fast form: three pools of 5x5 in a row, concatenated."""

    def __init__(self, C):
        super().__init__()
        self.begin, self.end = ConvNorm(C, C // 2, 1, act=nn.SiLU), ConvNorm(2 * C, C, 1, act=nn.SiLU)

    def forward(self, x):
        parts = [self.begin(x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        return self.end(torch.cat(parts, 1))


class Yolo(nn.Module):
    """A detector of YOLO's kind at three scales: for each cell four distances, means of a softmax over 16, and 80 classes."""

    def __init__(self):
        super().__init__()

        def stage(C, OC, depth):
            return nn.Sequential(ConvNorm(C, OC, 3, 2, act=nn.SiLU), CrossStage(OC, OC, depth))

        self.first = nn.Sequential(ConvNorm(3, 16, 3, 2, act=nn.SiLU), stage(16, 32, 1), stage(32, 64, 2))
        self.second, self.third = stage(64, 128, 2), nn.Sequential(stage(128, 256, 1), Pyramid(256))
        self.up2, self.up1 = CrossStage(384, 128, 1, False), CrossStage(192, 64, 1, False)
        self.down1, self.down2 = ConvNorm(64, 64, 3, 2, act=nn.SiLU), ConvNorm(128, 128, 3, 2, act=nn.SiLU)
        self.out2, self.out3 = CrossStage(192, 128, 1, False), CrossStage(384, 256, 1, False)

        def head(C, OC):
            return nn.Sequential(ConvNorm(C, 64, act=nn.SiLU), ConvNorm(64, 64, act=nn.SiLU), nn.Conv2d(64, OC, 1))

        self.boxes = nn.ModuleList(head(C, 64) for C in (64, 128, 256))
        self.classes = nn.ModuleList(head(C, 80) for C in (64, 128, 256))

    def forward(self, x):
        a = self.first(x)
        b = self.second(a)
        c = self.third(b)
        up = self.up2(torch.cat((F.interpolate(c, scale_factor=2.0), b), 1))
        a = self.up1(torch.cat((F.interpolate(up, scale_factor=2.0), a), 1))
        b = self.out2(torch.cat((self.down1(a), up), 1))
        c = self.out3(torch.cat((self.down2(b), c), 1))
        heads = [torch.cat((box(v), cls(v)), 1) for box, cls, v in zip(self.boxes, self.classes, (a, b, c), strict=True)]
        box, cls = torch.cat([h.flatten(2) for h in heads], 2).split((64, 80), 1)
        N, _, A = box.shape
        distances = box.view(N, 4, 16, A).transpose(1, 2).softmax(1)
        distances = (distances * torch.arange(16.0).view(1, 16, 1, 1)).sum(1)
        return torch.cat((distances, cls.sigmoid()), 1)


def pose():
    """Xiao et al., arXiv:1804.06208: three transposed convolutions on a ResNet-18."""
    stages, C = resnet_stages((2, 2, 2, 2), bottleneck=False)
    layers = []
    for _ in range(3):
        layers += [nn.ConvTranspose2d(C, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU()]
        C = 128
    return nn.Sequential(stages, *layers, nn.Conv2d(C, 17, 1))


class Attention(nn.Module):
    """Attention of several heads (Vaswani et al., arXiv:1706.03762), spelled out or by torch's function for it."""

    def __init__(self, C, heads, fused):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.project = nn.Linear(C, 3 * C), nn.Linear(C, C)

    def forward(self, x):
        N, S, C = x.shape
        q, k, v = self.qkv(x).reshape(N, S, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = ((q @ k.transpose(-2, -1)) / math.sqrt(C // self.heads)).softmax(-1) @ v
        return self.project(y.transpose(1, 2).reshape(N, S, C))


class TorchAttention(nn.MultiheadAttention):
    """The same as a module of torch's."""

    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


class Patches(nn.Module):
    """Embeddings N S C of an image's patches and of a class token, with positions."""

    def __init__(self, C, side, count):
        super().__init__()
        self.conv = nn.Conv2d(3, C, side, side)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, C)), nn.Parameter(torch.randn(1, count + 1, C))

    def forward(self, x):
        x = self.conv(x).flatten(2).transpose(1, 2)
        return torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1) + self.places


class FirstToken(nn.Module):
    def forward(self, x):
        return x[:, 0]


def vit():
    """Dosovitskiy et al., arXiv:2010.11929: a small one, with a block for each way to write attention."""
    C, heads = 192, 3
    layers = []
    for attention in (Attention(C, heads, False), Attention(C, heads, True), TorchAttention(C, heads, batch_first=True)):
        layers += [
            Add(nn.Sequential(nn.LayerNorm(C), attention)),
            Add(nn.Sequential(nn.LayerNorm(C), nn.Linear(C, 4 * C), nn.GELU(), nn.Linear(4 * C, C))),
        ]
    return nn.Sequential(Patches(C, 8, 64), *layers, nn.LayerNorm(C), FirstToken(), nn.Linear(C, 1000))


# ---- one spatial axis, and three


def sound():
    """A classifier of sound with a decoder's step: one spatial axis."""

    def norm(C, OC, kernel, **more):
        return nn.Sequential(nn.Conv1d(C, OC, kernel, bias=False, **more), nn.BatchNorm1d(OC), nn.ReLU())

    block = Add(nn.Sequential(norm(32, 32, 3, padding=2, dilation=2, groups=4), nn.Conv1d(32, 32, 1)), act=nn.ReLU())
    up = nn.ConvTranspose1d(32, 24, 4, 2, 1), nn.GELU(), nn.AvgPool1d(3, 2, 1), nn.Upsample(scale_factor=2.0)
    return nn.Sequential(
        norm(1, 32, 9, stride=4), nn.MaxPool1d(3, 2, 1), block, *up, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(24, 10)
    )


def video():
    """Three spatial axes: convolution, pools and a transposed convolution."""
    layers = (
        nn.Conv3d(3, 8, 3, (1, 2, 2), 1),
        nn.BatchNorm3d(8),
        nn.ReLU(),
        nn.MaxPool3d(2),
        nn.Conv3d(8, 16, 3, padding=1, groups=2),
    )
    return nn.Sequential(*layers, nn.SiLU(), nn.ConvTranspose3d(16, 4, 2, 2), nn.AvgPool3d((1, 2, 2)))


#: name -> (what makes the module, the shape of its input without the batch)
OTHERS = {"sound": (sound, (1, 400)), "video": (video, (3, 6, 16, 16))}

NETWORKS = {
    "resnet18": (resnet18, 64),
    "resnet50": (resnet50, 64),
    "vgg11": (vgg11, 224),
    "densenet121": (densenet121, 64),
    "googlenet": (googlenet, 64),
    "mobilenetv3": (mobilenetv3, 64),
    "efficientnet_b0": (efficientnet_b0, 64),
    "shufflenetv2": (shufflenetv2, 64),
    "convnext_tiny": (convnext_tiny, 64),
    "regnet": (regnet, 64),
    "mnasnet": (mnasnet, 64),
    "fcn": (fcn, 64),
    "deeplabv3": (deeplabv3, 64),
    "unet": (UNet, 64),
    "unet_bilinear": (lambda: UNet(bilinear=True), 64),
    "yolo": (Yolo, 64),
    "pose": (pose, 64),
    "vit": (vit, 64),
}


def make(name):
    """The network in evaluation mode, as it is before training."""
    network, _ = (NETWORKS | OTHERS)[name]
    return network().eval()


def build(name):
    """The network in evaluation mode, with the same random weights each time."""
    torch.manual_seed(0)
    module = make(name)
    for m in module.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            for tensor, middle in ((m.running_mean, 0), (m.running_var, 1), (m.weight, 1), (m.bias, 0)):
                nn.init.uniform_(tensor, middle - 0.3, middle + 0.3)
        elif isinstance(m, nn.modules.conv._ConvNd | nn.Linear):
            transposed = getattr(m, "transposed", False)
            fan = m.weight[:, 0].numel() / math.prod(m.stride) if transposed else m.weight[0].numel()
            nn.init.normal_(m.weight, std=math.sqrt(1.6 / fan))
            if m.bias is not None:
                nn.init.uniform_(m.bias, -0.1, 0.1)
    return module


def image(name, batch=1):
    """An input for the network, the same each time."""
    shape = OTHERS[name][1] if name in OTHERS else (3, NETWORKS[name][1], NETWORKS[name][1])
    return torch.randn((batch, *shape), generator=torch.Generator().manual_seed(1))
