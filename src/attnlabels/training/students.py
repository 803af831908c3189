"""The training of students by the contrast between views, with an attention head (paper §3.3)."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn

from attnlabels.losses.collapse import collapsed, spread
from attnlabels.losses.objective import ATTENTION_TERMS, VIEW_TERMS, require_terms
from attnlabels.models.attention_maps import Source
from attnlabels.models.encoder import Backbone
from attnlabels.models.student import Outputs, build_student
from attnlabels.pipeline.params import record
from attnlabels.processes.room import Shares
from attnlabels.processes.world import World
from attnlabels.training import encoders
from attnlabels.training.encoders import (
    Count,
    NotNegative,
    Positive,
    Share,
    Training,
    encoder_config,
    on_device,
    weigh,
)
from attnlabels.training.loop import Row as Epoch
from attnlabels.training.samples import Augmentation


@dataclass(frozen=True, kw_only=True)
class Recipe(encoders.Recipe):
    """What all runs share; params.yaml says what each value is."""

    backbone: Backbone
    projector_layers: Annotated[int, Field(ge=2, le=4)]
    projector_outputs: Count
    temperature: Positive
    learning_rate_scaling: Literal["none", "sqrt", "linear"]
    jitter: Share
    jitter_strength: NotNegative
    jitter_hue: Annotated[float, Field(ge=0, le=0.5)]
    grey: Share
    blur: Share
    chunks: Count


@record
class Cotrain:
    """People's recordings of other images that join each batch (§4.3)."""

    shards: str
    images: Count


@dataclass(frozen=True, kw_only=True)
class Row(encoders.Row):
    """What a run has of its own; its row in a table of params.yaml."""

    block: str
    attention: Source
    cotrain: Cotrain | None


def require_one_meaning(p: Recipe, row: Row) -> None:
    """Raises ValueError for a row that says two things, or asks for what cannot be had."""
    require_terms(row.weights, without=VIEW_TERMS)
    weighed = sorted(set(row.weights) & set(ATTENTION_TERMS))
    if row.attention == "none" and (weighed or row.cotrain):
        raise ValueError(
            f"a run with `attention: none` has no map for {', '.join(weighed) or 'cotrain'}; "
            "remove that from its row or give it an attention"
        )
    if row.attention != "none" and not weighed:
        raise ValueError(
            f"a run with `attention: {row.attention}` weighs none of {', '.join(ATTENTION_TERMS)}; "
            "add one to its weights (with stop_gradient it only watches) or say `attention: none`"
        )
    if row.attention.startswith("contracam") and p.chunks > 1:
        raise ValueError(
            f"ContraCAM tells an image from the others of its batch, and {p.chunks} chunks would "
            "leave it fewer of them; set train_simclr.chunks to 1"
        )


def augmentation(p: Recipe) -> Augmentation:
    return Augmentation(
        area=p.crop_area,
        jittered=p.jitter,
        strength=p.jitter_strength,
        hue=p.jitter_hue,
        grey=p.grey,
        blurred=p.blur,
    )


def student_config(p: Recipe, row: Row) -> dict[str, Any]:
    """What a later stage needs to build the encoder and its attention again, and to feed them."""
    return encoder_config(
        p,
        row,
        backbone=p.backbone,
        block=row.block,
        source=row.attention,
        projector={"layers": p.projector_layers, "n_outputs": p.projector_outputs},
    )


def build_training(
    p: Recipe, row: Row, config: dict[str, Any], *, n_classes: int, world: World
) -> Training:
    """The student that `config` says on its device, with its optimizer, its pass and its loss."""
    require_equal_shares(p, row, world)
    scale = {"none": 1.0, "sqrt": p.batch_size**0.5, "linear": p.batch_size / 256}
    rate = p.learning_rate * scale[p.learning_rate_scaling]
    student = build_student(config, n_classes=n_classes)

    def forward(network: nn.Module, *images: Tensor) -> Outputs:
        return network(
            *images,
            joint=row.joint_batch_norm,
            stop_gradient=row.stop_gradient,
            gather=world.gather_around,
        )

    def watched(outputs: Outputs) -> dict[str, Tensor]:
        return {"spread": spread(outputs.z0)}

    attends = row.attention != "none"
    return Training(
        on_device(student, p, learning_rate=rate, world=world, shares=shares_of(p, row, world)),
        inputs=("view0", "view1", "clean") if attends else ("view0", "view1"),
        targets=("label", "map", "fixations") if attends else ("label",),
        forward=forward,
        loss=weigh(row.weights, temperature=p.temperature, watched=watched),
    )


def shares_of(p: Recipe, row: Row, world: World) -> Shares:
    """How a batch is divided; ContraCAM tells an image from all others, so it takes no chunks."""
    return Shares(
        section="train_simclr",
        batch_size=p.batch_size,
        processes=world.size,
        gpus=world.device.type == "cuda",
        chunks=None if row.attention.startswith("contracam") else p.chunks,
        beside=row.cotrain.images if row.cotrain else 0,
    )


def require_equal_shares(p: Recipe, row: Row, world: World) -> None:
    """Raises ValueError unless the processes, and the chunks of each, have equally many images."""
    if p.batch_size % (world.size * p.chunks):
        raise ValueError(
            f"a batch of {p.batch_size} does not divide into {world.size} processes times "
            f"{p.chunks} chunks; change train_simclr.batch_size, processes or chunks"
        )
    if row.cotrain and row.cotrain.images % (world.size * p.chunks):
        raise ValueError(
            f"{row.cotrain.images} images for co-training do not divide into {world.size} "
            f"processes times {p.chunks} chunks; change cotrain.images of the run"
        )


def summary(p: Recipe, row: Row, history: list[Epoch], top1: float) -> dict[str, Any]:
    """The last epoch's losses, whether the projections collapsed by then, and the probe's score."""
    last = history[-1]
    losses, probe = encoders.summary(row, history), encoders.probed(p, top1)
    fell = int(bool(collapsed(last, n=p.batch_size)))
    return {**losses, "spread": last["spread"], "collapsed": fell, **probe}
