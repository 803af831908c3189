"""The two residual units of ResNets (He et al. 2016), with torchvision's names and arithmetic, and
that of wide ones (Zagoruyko & Komodakis 2016).

torchvision's own bring its detection operators and, with them, torch's compiler: three seconds at
the start of every stage.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut; `shortcut` projects where shapes differ."""

    expansion = 1

    def __init__(
        self, channels: int, planes: int, stride: int = 1, shortcut: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, planes, 3, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _convolution(planes, planes, 3, 1)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = shortcut

    def dense(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The path beside the shortcut."""
        return self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))

    def shortcut(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """What is added to it."""
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        return self.relu(self.dense(x).add_(self.shortcut(x)))


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions beside a shortcut; the stride is the 3×3's, as in SimCLR."""

    expansion = 4

    def __init__(
        self, channels: int, planes: int, stride: int = 1, shortcut: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, planes, 1, 1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _convolution(planes, planes, 3, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = _convolution(planes, planes * self.expansion, 1, 1)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut

    def dense(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The path beside the shortcut."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.bn3(self.conv3(y))

    def shortcut(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """What is added to it."""
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        return self.relu(self.dense(x).add_(self.shortcut(x)))


class WideUnit(nn.Module):
    """Two 3×3 convolutions, each behind batch norm and a ReLU, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.dense = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        same = inputs == outputs and stride == 1
        self.projection = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        y = self.before(x)
        return self.dense(y) + (x if self.projection is None else self.projection(y))


def draw_convolutions(network: nn.Module, draw: Callable[[Tensor], object]) -> None:
    """Let `draw` fill the weights of each convolution, in their order."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            draw(module.weight)


def _convolution(channels: int, planes: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, planes, kernel, stride, padding=kernel // 2, bias=False)
