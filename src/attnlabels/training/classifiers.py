"""Supervised networks: a classifier, and maps that parts of it are held to.

The attention head's are those of Table 1 (paper §4.3); attention inside of units and the input
gradient are those of Linsley et al. (ICLR 2019) and Fel et al. (NeurIPS 2022).
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from attnlabels.losses.objective import (
    ATTENTION_TERMS,
    BOTTLENECK_TERMS,
    PAIR_TERMS,
    VIEW_TERMS,
    require_terms,
)
from attnlabels.models.attention_head import Output, Select
from attnlabels.models.classifier import Outputs, build_classifier
from attnlabels.models.encoder import Backbone
from attnlabels.processes.room import Shares
from attnlabels.processes.world import World
from attnlabels.training import encoders
from attnlabels.training.encoders import Recipe, Training, encoder_config, on_device, weigh
from attnlabels.training.samples import Augmentation


@dataclass(frozen=True, kw_only=True)
class Row(encoders.Row):
    """What a run has of its own; its row in a table of params.yaml.

    What has a value here is for some runs alone: the first four for those whose weights name a term
    of the attention head, the others for those with attention inside of units.
    """

    backbone: Backbone
    attention_select: Select = "local_mean_max"
    attention_output: Output = "spatial_softmax"
    joint_batch_norm: bool = True
    stop_gradient: bool = False
    unit_attention: str | None = None
    attended_stage: Annotated[int, Field(ge=1, le=4)] = 3

    @property
    def has_head(self) -> bool:
        """Whether it weighs a term of the attention head, which is shown clean images."""
        return any(term in ATTENTION_TERMS for term in self.weights)

    @property
    def has_view_maps(self) -> bool:
        """Whether it weighs a term of maps of the classified view itself."""
        return any(term in VIEW_TERMS for term in self.weights)


def require_one_meaning(row: Row) -> None:
    """Raises ValueError for a row that weighs a term that there is not, or has no maps for."""
    require_terms(row.weights, without=[*PAIR_TERMS, *BOTTLENECK_TERMS])
    if "unit_distance" in row.weights and row.unit_attention is None:
        raise ValueError(
            "a run without `unit_attention` has no maps for unit_distance; name a module of "
            "attnlabels.unit_attention in its row, or remove unit_distance from its weights"
        )


def augmentation(p: Recipe) -> Augmentation:
    """What is random in the image that is classified: its crop and its side."""
    return Augmentation(
        area=p.crop_area, jittered=0.0, strength=0.0, hue=0.0, grey=0.0, blurred=0.0
    )


def classifier_config(p: Recipe, row: Row) -> dict[str, Any]:
    """What a later stage needs to build a classifier again, and to feed it."""
    source = "readout" if row.has_head else "none"
    config = encoder_config(p, row, backbone=row.backbone, block="none", source=source)
    if row.unit_attention is not None:
        config["encoder"]["unit_attention"] = row.unit_attention
        config["encoder"]["attended_stage"] = row.attended_stage
    return config


def build_training(
    p: Recipe, row: Row, config: dict[str, Any], *, n_classes: int, world: World
) -> Training:
    """The network on its device, with its optimizer, its pass and its loss."""
    network = build_classifier(config, n_classes=n_classes)
    # Paper: no schedule is given; this is what ResNets are commonly trained with (FACTS §6.6).
    rate = p.learning_rate * p.batch_size / 256

    shares = Shares(
        section="train_supervised",
        batch_size=p.batch_size,
        processes=world.size,
        gpus=world.device.type == "cuda",
    )

    # What the network is shown, by the name of its argument.
    shown = {"view": "view0"}
    if row.has_head:
        shown["attended"] = "clean"
    if "harmonization" in row.weights:
        shown["labels"] = "label"

    def forward(network: nn.Module, *parts: Tensor) -> Outputs:
        named = dict(zip(shown, parts))
        return network(**named, joint=row.joint_batch_norm, stop_gradient=row.stop_gradient)

    targets = ["label"]
    targets += ["map", "fixations"] if row.has_head else []
    targets += ["map0"] if row.has_view_maps else []
    return Training(
        on_device(network, p, learning_rate=rate, world=world, shares=shares),
        inputs=tuple(shown.values()),
        targets=targets,
        forward=forward,
        loss=weigh(row.weights),
    )
