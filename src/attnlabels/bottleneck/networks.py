"""A classifier that attends through an information bottleneck (AIB; Lai et al., IJCAI 2021).

After one stage f of a network a mask a of one value a cell, drawn about its mean, stresses places,
f + f ⊙ a; of what the other stages make of that, a code is drawn about its mean, and a decoder
tells the class from the code alone (FACTS §9.1, STUDIES §D.2). What mask and code may tell of the
image is for the loss to price.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.bottleneck.trunks import Trunk, build_trunk
from attnlabels.losses.bottleneck import wide
from attnlabels.models.attention_maps import build_attention
from attnlabels.models.encoder import Stages, module_named, stages_of
from attnlabels.models.probe import linear_probe

LOW = 5.0  # softplus(x - 5): deviations begin at 0.0067
ROOM = "attnlabels.masks"
SCORED_SEED = 0  # of the noise while images are scored


class Outputs(NamedTuple):
    """What the objective's terms read, a row an image; what a network has not is empty.

    Of t drawn masks, each with u codes. Names are those that terms ask for, so `attended` holds
    the masks' means.
    """

    logits: Float[Tensor, "n 1 k"]
    attended: Float[Tensor, "n l i j"]
    mask_deviation: Float[Tensor, "n a b"]
    drawn: Float[Tensor, "n t a b"]  # masks, before they are brought to anchors
    anchored: Float[Tensor, "n q a b"]  # the anchors nearest to these
    code_mean: Float[Tensor, "n t d"]
    code_deviation: Float[Tensor, "n s e"]

    @property
    def mask_mean(self) -> Float[Tensor, "n i j"]:
        return self.attended[:, 0]


class Drawn(NamedTuple):
    """Masks drawn about their mean, [n, t, i, j] each but that and its deviation, [n, i, j]."""

    mean: Tensor
    deviation: Tensor
    drawn: Tensor
    anchored: Tensor
    used: Tensor


class Passed(NamedTuple):
    """What passes the bottleneck: the decoded code, and all on the way to it."""

    decoded: Float[Tensor, "n d"]
    features: Float[Tensor, "n c"]  # the last stage's mean over cells, over drawn masks
    mask: Drawn
    code_mean: Float[Tensor, "n t d"]
    code_deviation: Float[Tensor, "n s e"]


class Attention(nn.Module):
    """A mask drawn about its mean with a deviation that is made of the mean, at will quantised.

    `noisy`: whether it is drawn, or is its mean. Drawn values are not squashed, so may leave
    [0, 1]. `anchors`: how many values it is brought to, at first evenly from 0 to 1, the gradient
    passing by; None for none.
    """

    def __init__(self, mask: nn.Module, *, noisy: bool, anchors: int | None) -> None:
        super().__init__()
        self.mask = mask
        self.deviation = nn.Conv2d(1, 1, 3, padding=1) if noisy and mask.drawn else None
        self.anchors = None if anchors is None else nn.Parameter(torch.linspace(0, 1, anchors))

    def forward(self, maps: Float[Tensor, "n c i j"], noise: Float[Tensor, "n p"]) -> Drawn:
        """As many masks as standard normal `noise` makes; without any, the mean itself."""
        mean = self.mask(maps)
        if self.deviation is None:
            deviation, drawn = mean.new_empty(len(mean), 0, 0), mean.unsqueeze(1)
        else:
            deviation = F.softplus(wide(self.deviation(mean.unsqueeze(1)).squeeze(1)) - LOW)
            shaped = noise.reshape(len(mean), -1, *mean.shape[1:])
            drawn = mean.unsqueeze(1) + deviation.unsqueeze(1) * shaped
        if self.anchors is None:
            return Drawn(mean, deviation, drawn, drawn.new_empty(len(mean), 0, 0, 0), drawn)
        nearest = (drawn.detach().unsqueeze(-1) - self.anchors.detach()).abs().argmin(dim=-1)
        anchored = self.anchors[nearest]
        return Drawn(mean, deviation, drawn, anchored, drawn + (anchored - drawn).detach())


class BottleneckEncoder(nn.Module):
    """Stages with a mask between two of them, and a code behind the last.

    `stage`: that after which the mask is. `code`: how many numbers it has. `noisy`: whether mask
    and code are drawn; else they are their means. `decoder_layers`: with 2 the decoder is a linear
    layer and a ReLU, as in the public VGG; with 1 it is a ReLU, as in its WRN. The classifier that
    follows is linear, so of many samples the mean of what is decoded has the mean logits.

    `applied`: whether maps are multiplied by the mask, or it is predicted beside them, a control.
    `samples` masks are drawn in training and `test_samples` in evaluation, of each as many codes.
    """

    def __init__(
        self,
        trunk: Trunk,
        mask: nn.Module | None,
        *,
        stage: int,
        noisy: bool,
        anchors: int | None,
        code: int,
        decoder_layers: int,
        samples: int,
        test_samples: int,
        applied: bool = True,
    ) -> None:
        super().__init__()
        self.trunk, self.stage, self.applied = trunk, stage, applied
        self.noisy, self.code = noisy, code
        self.attention = None if mask is None else Attention(mask, noisy=noisy, anchors=anchors)
        self.statistics = nn.Linear(trunk.channels[-1], 2 * code if noisy else code)
        self.decoder = nn.Sequential(
            *([nn.Linear(code, code)] if decoder_layers == 2 else []), nn.ReLU()
        )
        self.n_features, self.samples, self.test_samples = code, samples, test_samples

    def numbers(self, cells: int) -> tuple[int, int]:
        """How many normal numbers an image needs for masks of so many cells, and for codes, now."""
        times = (self.samples if self.training else self.test_samples) if self.noisy else 0
        is_drawn = self.attention is not None and self.attention.deviation is not None
        return times * cells if is_drawn else 0, times * (times if is_drawn else 1) * self.code

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Stages:
        """As any encoder's: the mask's mean is the block's, and the decoded code is what is pooled.

        Noise is the same for all images and at all times, so that no score depends on a batch.
        """
        passed = self.look(images)
        maps = passed.features[:, :, None, None]
        stages = stages_of(maps, maps, maps)
        return stages._replace(mask=passed.mask.mean, pooled=passed.decoded)

    def look(
        self, images: Float[Tensor, "n 3 h w"], noise: Float[Tensor, "n p"] | None = None
    ) -> Passed:
        """Images in [0, 1] through the bottleneck; without `noise`, with that of `forward`."""
        maps = self.trunk.between(images, 0, self.stage)
        numbers = self.numbers(maps.shape[2] * maps.shape[3])
        if noise is None:
            noise = fixed_noise(sum(numbers)).to(images).expand(len(images), -1)
        of_masks, of_codes = noise.split(numbers, dim=1)
        mask = self.mask_of(maps, of_masks)
        if self.attention is not None:
            used = mask.used if self.applied else torch.zeros_like(mask.used)
            maps = (maps.unsqueeze(1) * (1 + used.unsqueeze(2))).flatten(0, 1)
        last = self.trunk.between(maps, self.stage, len(self.trunk.channels))
        pooled = wide(last).mean(dim=(2, 3)).unflatten(0, (len(images), -1))
        mean, deviation, drawn = self.code_of(pooled, of_codes)
        decoded = self.decoder(drawn).mean(dim=(1, 2))
        return Passed(decoded, pooled.mean(dim=1), mask, mean, deviation)

    def mask_of(self, maps: Float[Tensor, "n c i j"], noise: Float[Tensor, "n p"]) -> Drawn:
        """The masks; of a network without them nothing."""
        if self.attention is not None:
            return self.attention(maps, noise)
        cells, masks = maps.new_empty(len(maps), 0, 0), maps.new_empty(len(maps), 0, 0, 0)
        return Drawn(cells, cells, masks, masks, masks)

    def code_of(
        self, pooled: Float[Tensor, "n t c"], noise: Float[Tensor, "n p"]
    ) -> tuple[Float[Tensor, "n t d"], Float[Tensor, "n s e"], Float[Tensor, "n t u d"]]:
        """Means, deviations and drawn codes of each masked image; without noise the means."""
        told = self.statistics(pooled)
        if not self.noisy:
            return told, told.new_empty(len(told), 0, 0), told.unsqueeze(2)
        mean, raw = told.chunk(2, dim=-1)
        deviation = F.softplus(wide(raw) - LOW)
        shaped = noise.reshape(*mean.shape[:2], -1, self.code)
        return mean, deviation, mean.unsqueeze(2) + deviation.unsqueeze(2) * shaped


class BottleneckClassifier(nn.Module):
    """The encoder and a linear classifier of what it decodes.

    It has the parts of `attnlabels.models.classifier.Classifier`, and so is trained and scored as
    that is; its `attention` predicts nothing.
    """

    def __init__(self, encoder: BottleneckEncoder, attention: nn.Module, probe: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.attention, self.probe = encoder, attention, probe

    def forward(
        self, view: Float[Tensor, "n 3 h w"], noise: Float[Tensor, "n p"] | None = None
    ) -> Outputs:
        """Of views in [0, 1]; `noise` are as many normal numbers as `BottleneckEncoder.numbers`."""
        passed = self.encoder.look(view, noise)
        mask = passed.mask
        has_mask = mask.drawn.shape[1] > 0
        return Outputs(
            logits=self.probe(passed.decoded).unsqueeze(1),
            attended=mask.mean.unsqueeze(1) if has_mask else mask.drawn,
            mask_deviation=mask.deviation,
            drawn=mask.drawn,
            anchored=mask.anchored,
            code_mean=passed.code_mean,
            code_deviation=passed.code_deviation,
        )


def fixed_noise(numbers: int) -> Float[Tensor, "p"]:
    """Standard normal numbers, always the same."""
    return torch.randn(numbers, generator=torch.Generator().manual_seed(SCORED_SEED))


def build_network(config: Mapping[str, Any], *, n_classes: int) -> BottleneckClassifier:
    """The network that `config` says, with weights drawn from torch's generator.

    `config["encoder"]` has the arguments of `build_trunk`, those of `BottleneckEncoder`, and a
    `mask`, a module of `attnlabels.masks` with its `mask_options`, or None.
    """
    told = dict(config["encoder"])
    trunk = build_trunk(
        **{key: told.pop(key) for key in ("backbone", "width", "stem", "zero_init")}
    )
    name, options = told.pop("mask"), told.pop("mask_options")
    if not 1 <= told["stage"] < len(trunk.channels):
        raise ValueError(
            f"the mask is behind stage {told['stage']}; expected 1 to {len(trunk.channels) - 1}: "
            "the last stage has none behind it"
        )
    mask = None if name is None else build_mask(name, trunk.channels[told["stage"] - 1], options)
    encoder = BottleneckEncoder(trunk, mask, **told)
    probe = linear_probe(encoder.n_features, n_classes)
    return BottleneckClassifier(encoder, build_attention(**config["attention"]), probe)


def build_mask(name: str, channels: int, options: Mapping[str, Any]) -> nn.Module:
    """The mask `attnlabels.masks.<name>` of maps of so many channels.

    Raises ValueError for a name or options that there are not.
    """
    module = module_named("mask", name, room=ROOM)
    try:
        return module.Mask(channels, **options)
    except TypeError as error:
        raise ValueError(f"mask_options of the mask {name}: {error}") from error


def numbers_needed(config: Mapping[str, Any]) -> int:
    """How many standard normal numbers a training draws of each image; builds no real network."""
    with torch.device("meta"):
        encoder = build_network(config, n_classes=2).encoder
        size = config["image_size"]
        grid = encoder.trunk.eval().between(torch.empty(1, 3, size, size), 0, encoder.stage)
    return sum(encoder.train().numbers(grid.shape[2] * grid.shape[3]))
