"""Time SmoothGrad against captum's at equal settings, by the limits below.

    python benchmarks/smoothgrad.py

Absolute gradients, mean over noisy copies, of ResNet-18 at 64 px, as many copies at a time in both.
Given captum's own noise, ours must be equal to 1e-5 of the largest value; for the times both draw
their own. One thread, in turns. Leaves with status 1 if not, or if captum is faster. About a minute
on one core.
"""

from collections.abc import Iterator

import torch
from captum.attr import NoiseTunnel, Saliency
from ratios import Bound, in_turns, ratios, report
from torchvision.models import resnet18

from attnlabels.interpretation.smoothgrad import Manner, draw_noise, smoothgrad

IMAGES, SIDE = 8, 64
COUNT, CHUNK = 16, 4
LEVEL = 0.15
NEAR = 1e-5
ROUNDS = 9
MANNER = Manner(level=LEVEL, order="absolute_first", channels="max", chunk=CHUNK)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = resnet18().eval().requires_grad_(False)
    images, classes = torch.rand(IMAGES, 3, SIDE, SIDE), torch.arange(IMAGES)
    # captum has one deviation for all; ours is of each image's range, so all ranges are made 1
    least = images.amin((1, 2, 3), keepdim=True)
    images = (images - least) / (images.amax((1, 2, 3), keepdim=True) - least)

    def by_captum() -> torch.Tensor:
        tunnel = NoiseTunnel(Saliency(network))
        noise = {"nt_samples": COUNT, "nt_samples_batch_size": CHUNK, "stdevs": LEVEL}
        return tunnel.attribute(images, target=classes, **noise).amax(dim=1)

    def ours(noise: Iterator[torch.Tensor]) -> torch.Tensor:
        return smoothgrad(network, images, classes, noise, MANNER)

    torch.manual_seed(1)
    expected = by_captum()
    torch.manual_seed(1)
    away = (ours(as_captum_draws(images)) - expected).abs().max() / expected.max()
    seconds = in_turns(
        {
            "ours": lambda: ours(draw_noise(images, count=COUNT, first=0, seed=0)),
            "captum": by_captum,
        },
        rounds=ROUNDS,
    )
    faster = ratios(seconds["captum"], seconds["ours"])
    bounds = [
        Bound("times as fast as captum", faster, 1, True, ""),
        Bound("away from it, of 1e-5 of the largest value", [float(away) / NEAR], 1, False, ""),
    ]
    report(seconds, bounds)


def as_captum_draws(images: torch.Tensor) -> Iterator[torch.Tensor]:
    """The standard normal values of captum's noise in its order: all copies of an image in turn."""
    for _ in range(COUNT // CHUNK):
        zeros = torch.zeros_like(images).repeat_interleave(CHUNK, dim=0)
        drawn = torch.normal(zeros, torch.ones_like(zeros)).view(IMAGES, CHUNK, *images.shape[1:])
        yield from drawn.unbind(dim=1)


if __name__ == "__main__":
    main()
