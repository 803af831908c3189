"""A trained classifier through a bottleneck, frozen: what it decides, attends to and lets pass."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from attnlabels.bottleneck.networks import BottleneckClassifier, build_network
from attnlabels.interpretation.frozen import pixels_of
from attnlabels.losses.bottleneck import divergence
from attnlabels.models.files import building, load_weights, read_config
from attnlabels.processes.world import own_device

Images = UInt8[np.ndarray, "n s s 3"]


class Seen(NamedTuple):
    """What a network makes of images, each by its mean over samples; what it has not is empty."""

    logits: Float[np.ndarray, "n k"]
    masks: Float[np.ndarray, "n i j"]  # their means
    code_bits: Float[np.ndarray, "n"]
    code_noise: Float[np.ndarray, "n"]  # mean deviation of its numbers
    mask_bits: Float[np.ndarray, "n"]  # mean over cells
    mask_noise: Float[np.ndarray, "n"]  # mean deviation of cells
    features: Float[np.ndarray, "n c"]  # before the code
    code: Float[np.ndarray, "n d"]  # its means
    anchored: Float[np.ndarray, "n t i j"]


class Frozen:
    """A network in evaluation on the device there is, and what it was fed with.

    Its noise is the same for all images, so what it sees of an image depends on no other.
    """

    def __init__(self, network: BottleneckClassifier, config: Mapping[str, Any]) -> None:
        self.network, self.config = network, config
        self.size: int = config["image_size"]
        self.crop: float = config["eval_crop"]
        self.anchors: int = config["encoder"]["anchors"] or 0
        self.device = own_device()
        network.eval().requires_grad_(False).to(self.device)

    @torch.no_grad()
    def see(self, images: Images) -> Seen:
        """What passes of a batch of images of the network's size."""
        passed = self.network.encoder.look(self._pixels(images))
        mask, deviation = passed.mask, passed.code_deviation
        of_code, of_mask = deviation.new_empty(2, 0), deviation.new_empty(2, 0)
        if deviation.numel():
            bits = divergence(passed.code_mean, deviation).sum(dim=-1)
            of_code = torch.stack([bits.mean(dim=1), deviation.mean(dim=(1, 2))])
        if mask.deviation.numel():
            bits = divergence(mask.mean, mask.deviation)
            of_mask = torch.stack([each.mean(dim=(1, 2)) for each in (bits, mask.deviation)])
        logits, code = self.network.probe(passed.decoded), passed.code_mean.mean(dim=1)
        found = (logits, mask.mean, *of_code, *of_mask, passed.features, code, mask.anchored)
        return Seen(*(_array(each) for each in found))

    def gradients(
        self, images: Images, classes: Int[np.ndarray, "n"]
    ) -> Float[np.ndarray, "n s s"]:
        """The largest absolute slope over colours of the logits of `classes` by the image."""
        pixels = self._pixels(images).requires_grad_()
        logits = self.network.probe(self.network.encoder.look(pixels).decoded)
        chosen = torch.from_numpy(classes.astype(np.int64)).to(self.device).unsqueeze(1)
        (slopes,) = torch.autograd.grad(logits.gather(1, chosen).sum(), pixels)
        return _array(slopes.abs().amax(dim=1))

    def _pixels(self, images: Images) -> Float[Tensor, "n 3 s s"]:
        return pixels_of(images, size=self.size, device=self.device)


def open_network(weights: Path, *, n_classes: int) -> Frozen:
    """The network that `train_bottleneck` wrote; raises ValueError if it has other classes."""
    config = read_config(weights, "encoder", "attention", "image_size", "eval_crop")
    with building(weights):
        network = build_network(config, n_classes=n_classes)
    load_weights(weights, network)
    return Frozen(network, config)


def _array(values: Tensor) -> np.ndarray:
    return values.float().cpu().numpy()
