import pytest
import torch

from attnlabels.bottleneck.trunks import TRUNKS, build_trunk
from attnlabels.models.encoder import Encoder

SHAPE = {"stem": "cifar", "zero_init": False}


def images(size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "width", "shapes"),
    [
        ("resnet18", 4, [(4, 32), (8, 16), (16, 8), (32, 4)]),
        ("resnet50", 2, [(8, 32), (16, 16), (32, 8), (64, 4)]),
        ("vgg", 2, [(2, 32), (4, 32), (8, 16), (16, 8), (16, 4), (16, 1)]),
        ("wrn16_4", 2, [(8, 32), (16, 16), (32, 8)]),
        ("wrn28_10", 1, [(10, 32), (20, 16), (40, 8)]),
    ],
)
def test_stages_are_those_of_the_papers(name, width, shapes):
    trunk = build_trunk(name, width=width, **SHAPE).eval()
    assert trunk.channels == tuple(channels for channels, _ in shapes)
    for stage, (channels, side) in enumerate(shapes, start=1):
        assert trunk.between(images(), 0, stage).shape == (2, channels, side, side)


@torch.no_grad()
def test_a_resnet_is_the_encoders():
    torch.manual_seed(0)
    encoder = Encoder("resnet18", width=4, taps="stages", **SHAPE).eval()
    torch.manual_seed(0)
    trunk = build_trunk("resnet18", width=4, **SHAPE).eval()
    seen = encoder(images())
    torch.testing.assert_close(trunk.between(images(), 0, 4), seen.last)
    torch.testing.assert_close(trunk.between(images(), 0, 2), seen.first)


def test_a_wide_network_has_the_published_size():
    # WRN-28-10 has 36.5 million weights, of which its classifier of ten classes has 6,410.
    with torch.device("meta"):
        trunk = TRUNKS["wrn28_10"](16)
    count = sum(each.numel() for each in trunk.parameters())
    assert count == 36_479_194 - 6_410


def test_every_trunk_learns():
    for name in ("vgg", "wrn16_4"):
        trunk = build_trunk(name, width=2, **SHAPE).train()
        trunk.between(images(), 0, len(trunk.channels)).square().mean().backward()
        assert all(each.grad is not None for each in trunk.parameters())
