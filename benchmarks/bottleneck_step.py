"""Time what a bottleneck on attention costs a training step, by the limit below.

    python benchmarks/bottleneck_step.py

Forward and backward with one sample, of ResNet-18, the public code's VGG at half its width and WRN
at 32 px, and the embedded study's network at 40 px: mask, code and decoder drawn and quantised,
against the same network without them, which pools and classifies. One thread, in turns; a ratio is
of one round. Leaves with status 1 if a limit is missed. About two minutes on one core.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from ratios import Bound, in_turns, ratios, report
from torch import Tensor, nn

from attnlabels.bottleneck.networks import BottleneckClassifier, build_network, numbers_needed
from attnlabels.bottleneck.trunks import Trunk, build_trunk
from attnlabels.losses.bottleneck import divergence

MOST = 1.3
ROUNDS = 7
N_CLASSES = 10
# width, stage of the mask, numbers of the code, side of images, images in a batch
NETWORKS = {
    "resnet10": (16, 2, 64, 40, 32),  # the study's
    "resnet18": (64, 2, 256, 32, 16),
    "vgg": (32, 3, 256, 32, 16),
    "wrn16_4": (16, 2, 512, 32, 16),
}
NO_HEAD = {"source": "none", "select": "local_mean_max", "output": "softplus", "size": 6}


class Plain(nn.Module):
    """The trunk, pooled, and a linear classifier."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk, self.probe = trunk, nn.Linear(trunk.channels[-1], N_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.trunk.between(images, 0, len(self.trunk.channels))
        return self.probe(maps.mean(dim=(2, 3)))


def main() -> None:
    torch.set_num_threads(1)
    report(*measure(NETWORKS, rounds=ROUNDS))


def measure(
    networks: Mapping[str, tuple[int, int, int, int, int]], *, rounds: int
) -> tuple[dict[str, list[float]], list[Bound]]:
    """Seconds of each step in each round, and what the bottleneck costs."""
    steps, pairs = {}, {}
    for name, (width, stage, code, size, n) in networks.items():
        shape: dict[str, Any] = {"backbone": name, "width": width, "zero_init": False}
        shape["stem"] = "small" if name == "resnet10" else "cifar"
        parts = {"mask": "learnt", "mask_options": {}, "noisy": True, "anchors": 20}
        counts = {"decoder_layers": 2, "samples": 1, "test_samples": 4}
        encoder = {**shape, **parts, **counts, "stage": stage, "code": code}
        config = {"encoder": encoder, "attention": NO_HEAD, "image_size": size}
        generator = torch.Generator().manual_seed(0)
        layout = torch.channels_last
        images = torch.rand(n, 3, size, size, generator=generator).to(memory_format=layout)
        noise = torch.randn(n, numbers_needed(config), generator=generator)
        through = build_network(config, n_classes=N_CLASSES).to(memory_format=layout)
        plain = Plain(build_trunk(**shape)).to(memory_format=layout)
        steps |= {
            name: partial(plain_step, plain, images),
            f"{name}, bottleneck": partial(bottleneck_step, through, images, noise),
        }
        pairs[name] = (name, f"{name}, bottleneck")
    seconds = in_turns(steps, rounds=rounds)
    bounds = [
        Bound(f"{name}, of the plain step", ratios(seconds[other], seconds[one]), MOST, False, "")
        for name, (one, other) in pairs.items()
    ]
    return seconds, bounds


def plain_step(network: Plain, images: Tensor) -> None:
    network.zero_grad()
    network(images).square().mean().backward()


def bottleneck_step(network: BottleneckClassifier, images: Tensor, noise: Tensor) -> None:
    network.zero_grad()
    out = network(images, noise)
    bits = divergence(out.code_mean, out.code_deviation).sum(dim=-1).mean()
    distance = (out.anchored - out.drawn).square().mean()
    (out.logits.square().mean() + 1e-3 * bits + distance).backward()


if __name__ == "__main__":
    main()
