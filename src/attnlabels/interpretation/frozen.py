"""A trained classifier, frozen: its decisions, its attention, and the gradient of a class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from attnlabels.interpretation.smoothgrad import Manner, draw_noise, smoothgrad
from attnlabels.models.classifier import Classifier, build_classifier
from attnlabels.models.encoder import features
from attnlabels.models.files import building, load_weights, read_config
from attnlabels.processes.loading import as_input
from attnlabels.processes.world import own_device

PLAIN = "features"  # the unit attention that changes nothing, of which the norm of features is seen


class Seen(NamedTuple):
    """What a network makes of images: a logit a class, and a map >= 0 a unit with attention."""

    logits: Float[np.ndarray, "n k"]
    attention: Float[np.ndarray, "n l i j"]


class Frozen:
    """A classifier in evaluation on the device there is, and what it was fed with.

    `attention` names what its maps are of: its unit attention. Of a network without any they are
    the norms of the features in the same layers, "features", as weights do not differ.
    """

    def __init__(self, network: Classifier, config: Mapping[str, Any]) -> None:
        self.network, self.config = network, config
        self.attention: str = config["encoder"]["unit_attention"]
        self.size: int = config["image_size"]
        self.crop: float = config["eval_crop"]
        self.device = own_device()
        network.eval().requires_grad_(False).to(self.device)

    def logits_of(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Of images in [0, 1], through which a gradient passes."""
        return self.network.probe(features(self.network.encoder(pixels)))

    @torch.no_grad()
    def see(self, images: UInt8[np.ndarray, "n s s 3"]) -> Seen:
        """Logits and maps of attention of a batch of images of the network's size."""
        stages = self.network.encoder(self._pixels(images))
        logits = self.network.probe(features(stages))
        return Seen(logits.cpu().numpy(), stages.attended.cpu().numpy())

    def gradients(
        self,
        images: UInt8[np.ndarray, "n s s 3"],
        classes: Int[np.ndarray, "n"],
        *,
        manner: Manner,
        count: int,
        seed: int,
        first: int,
    ) -> Float[np.ndarray, "n s s"]:
        """SmoothGrad of a batch's `classes`; its images' numbers, for their noise, from `first`."""
        pixels = self._pixels(images)
        chosen = torch.from_numpy(classes.astype(np.int64)).to(self.device)
        noise = draw_noise(pixels, count=count, first=first, seed=seed)
        return smoothgrad(self.logits_of, pixels, chosen, noise, manner).cpu().numpy()

    def _pixels(self, images: UInt8[np.ndarray, "n s s 3"]) -> Float[Tensor, "n 3 s s"]:
        return pixels_of(images, size=self.size, device=self.device)


def pixels_of(
    images: UInt8[np.ndarray, "n s s 3"], *, size: int, device: torch.device
) -> Float[Tensor, "n 3 s s"]:
    """Images as a network takes them that learnt from those of `size`; others raise ValueError."""
    if images.shape[1:3] != (size, size):
        h, w = images.shape[1:3]
        raise ValueError(f"images of {h} x {w}; the network learnt from {size} x {size}")
    return as_input(torch.from_numpy(images).to(device))


def open_classifier(weights: Path, *, n_classes: int) -> Frozen:
    """The classifier that `train_supervised` wrote; raises ValueError if it has other classes."""
    config = read_config(weights, "encoder", "attention", "image_size", "eval_crop")
    with building(weights):
        config = _watched(config)
        network = build_classifier(config, n_classes=n_classes)
    load_weights(weights, network)
    return Frozen(network, config)


def untrained_twin(frozen: Frozen, *, seed: int) -> Frozen:
    """A network of the same architecture with weights drawn anew: what training did not do."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        n_classes = frozen.network.probe.out_features
        return Frozen(build_classifier(frozen.config, n_classes=n_classes), frozen.config)


def _watched(config: dict[str, Any]) -> dict[str, Any]:
    encoder = config["encoder"]
    if encoder.get("unit_attention") is None:
        encoder = {**encoder, "unit_attention": PLAIN}
    return {**config, "encoder": encoder}
