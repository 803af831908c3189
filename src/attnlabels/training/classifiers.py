"""Table 1's supervised networks (paper §4.3): a classifier with the attention head beside it."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from attnlabels.models.classifier import Outputs, build_classifier
from attnlabels.models.encoder import Backbone
from attnlabels.processes.room import Shares
from attnlabels.processes.world import World
from attnlabels.training import encoders
from attnlabels.training.encoders import Recipe, Training, encoder_config, on_device, weigh
from attnlabels.training.samples import Augmentation


@dataclass(frozen=True, kw_only=True)
class Row(encoders.Row):
    """What a run has of its own; its row in a table of params.yaml."""

    backbone: Backbone


def augmentation(p: Recipe) -> Augmentation:
    """What is random in the image that is classified: its crop and its side."""
    return Augmentation(
        area=p.crop_area, jittered=0.0, strength=0.0, hue=0.0, grey=0.0, blurred=0.0
    )


def classifier_config(p: Recipe, row: Row) -> dict[str, Any]:
    """What a later stage needs to build a classifier again, and to feed it."""
    return encoder_config(p, row, backbone=row.backbone, block="none", source="readout")


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

    def forward(network: nn.Module, *images: Tensor) -> Outputs:
        return network(*images, joint=row.joint_batch_norm, stop_gradient=row.stop_gradient)

    return Training(
        on_device(network, p, learning_rate=rate, world=world, shares=shares),
        inputs=("view0", "clean"),
        targets=("label", "map", "fixations"),
        forward=forward,
        loss=weigh(row.weights),
    )
