"""SmoothGrad: the gradient of a class's logit by the image, mean over noisy copies of the image.

After Smilkov et al. 2017. Linsley et al. 2019 score networks by it and tell neither noise nor
count nor how it becomes a map, so all of these are parameters. What is argued for here:

- level 0.15, the deviation of the noise as a share of the image's own range: the middle of the
  0.1 to 0.2 that Smilkov et al. found to look best;
- count 50, where more changed little for them. Two such maps of one image still differ, so no
  agreement with people can be read from them that is finer than their agreement with each other;
- order "absolute_first": a place matters whether the class gains or loses by its brightness, and
  over noisy copies the two signs would cancel. "mean_first" is Smilkov et al.'s own, and 0.84 alike
  by ranks (STUDIES §C.1);
- channels "max", as their code and that of Harmonization reduce colours.

The plain gradient is level 0 and count 1.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

Sign = Literal["absolute_first", "mean_first", "signed"]
Channels = Literal["max", "mean", "l2", "signed_mean"]

REDUCED: dict[Channels, Callable[[Tensor], Tensor]] = {
    "max": lambda gradient: gradient.abs().amax(dim=1),
    "mean": lambda gradient: gradient.abs().mean(dim=1),
    "l2": lambda gradient: gradient.norm(dim=1),
    "signed_mean": lambda gradient: gradient.mean(dim=1),
}


class Manner(NamedTuple):
    """How the gradients of noisy copies become a map; see the module."""

    level: float  # of the noise, as a share of each image's range
    order: Sign
    channels: Channels
    chunk: int  # noisy copies that pass the network at once; changes no more than rounding


def smoothgrad(
    logits_of: Callable[[Tensor], Tensor],
    images: Float[Tensor, "n 3 h w"],
    classes: Int[Tensor, "n"],
    noise: Iterable[Float[Tensor, "n 3 h w"]],
    manner: Manner,
) -> Float[Tensor, "n h w"]:
    """Maps of what the images' logits of `classes` depend on.

    `logits_of` must judge each image by itself, as a network in evaluation does. `noise` has the
    standard normal values of one copy of all images after the other, and its length is the count.

    Raises ValueError for an order and channels of which one keeps the sign and the other does not,
    and without noise.
    """
    if (manner.order == "signed") != (manner.channels == "signed_mean"):
        raise ValueError(
            f"order {manner.order} with channels {manner.channels}; only signed and signed_mean go "
            "together, and with no other"
        )
    copies, total, count = iter(noise), torch.zeros_like(images), 0
    deviation = manner.level * (images.amax((1, 2, 3)) - images.amin((1, 2, 3)))
    while drawn := [*islice(copies, manner.chunk)]:
        noisy = images + deviation.view(-1, 1, 1, 1) * torch.stack(drawn)  # [chunk n 3 h w]
        inputs = noisy.flatten(0, 1).requires_grad_()
        chosen = logits_of(inputs).gather(1, classes.repeat(len(drawn)).unsqueeze(1))
        (gradients,) = torch.autograd.grad(chosen.sum(), inputs)
        if manner.order == "absolute_first":
            gradients = gradients.abs()
        total += gradients.view_as(noisy).sum(dim=0)
        count += len(drawn)
    if not count:
        raise ValueError("no noise, so no copies to take a gradient of; draw one or more")
    return REDUCED[manner.channels](total / count)


def draw_noise(
    like: Float[Tensor, "n 3 h w"], *, count: int, first: int, seed: int
) -> Iterator[Float[Tensor, "n 3 h w"]]:
    """`count` copies' standard normal values, those of an image drawn by its own number alone.

    The numbers of the images begin with `first`. So an image's map does not depend on which others
    are in its batch, and two networks are shown the same copies.
    """
    generators = [np.random.default_rng([seed, first + i]) for i in range(len(like))]
    for _ in range(count):
        drawn = [each.standard_normal(like.shape[1:], np.float32) for each in generators]
        yield torch.from_numpy(np.stack(drawn)).to(like)
