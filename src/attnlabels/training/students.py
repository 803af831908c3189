"""The training of students by two views of each image, with an attention head (paper §3.3)."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag
from torch import Tensor, nn

from attnlabels.losses.collapse import collapsed, spread
from attnlabels.losses.objective import (
    ATTENTION_TERMS,
    BOTTLENECK_TERMS,
    VIEW_TERMS,
    require_parts,
    require_terms,
)
from attnlabels.models.attention_maps import Source
from attnlabels.models.encoder import Backbone, Stem, Taps
from attnlabels.models.projector import Norm
from attnlabels.models.student import Outputs, Student, build_student
from attnlabels.models.timm_encoder import TIMM, TimmEncoder
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
    Width,
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


@record
class ResNet:
    """The arguments of `attnlabels.models.encoder.Encoder`."""

    backbone: Backbone
    width: Width
    stem: Stem
    taps: Taps
    zero_init: bool


@record
class TimmNetwork:
    """The arguments of `attnlabels.models.timm_encoder.TimmEncoder`; a width or stem it has not."""

    backbone: Annotated[str, Field(pattern=f"^{TIMM}")]
    taps: Taps | tuple[Count, Count, Count]
    options: dict[str, Any]


# Told apart by the name, so that an error is of the one that is meant.
Network = Annotated[
    Annotated[ResNet, Tag("resnet")] | Annotated[TimmNetwork, Tag("timm")],
    Discriminator(lambda told: "timm" if TIMM in str(told) else "resnet"),
]


@record
class Projector:
    """The arguments of `attnlabels.models.projector.projector`."""

    layers: Annotated[int, Field(ge=1)]
    n_hidden: Count
    n_outputs: Count
    norm: Norm


@record
class Predictor:
    """How wide a predictor's one hidden layer is.

    Paper: SimSiam holds a predictor's learning rate constant. Here it falls with all others.
    """

    n_hidden: Count


@record
class Momentum:
    """What share of its weights a momentum encoder keeps at a step: at the first, at the last."""

    start: Annotated[float, Field(ge=0, lt=1)]
    end: Share

    def at(self, progress: float) -> float:
        """After this share of the training, by half a cosine (Grill et al. 2020, section 3.3)."""
        return self.end - (self.end - self.start) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True, kw_only=True)
class Row(encoders.Row):
    """What a run has of its own; its row in a table of params.yaml.

    What has a value here is for other methods than SimCLR, or other networks: parts that their
    terms need (`attnlabels.losses.objective.PAIR_TERMS`), a `projector` in the place of that of
    `train_simclr`, a `network` in the place of its backbone, width, stem and taps, and how many
    times its learning rate is theirs.
    """

    block: str
    attention: Source
    cotrain: Cotrain | None
    predictor: Predictor | None = None
    momentum: Momentum | None = None
    projector: Projector | None = None
    network: Network | None = None
    learning_rate_times: Positive = 1.0

    @property
    def parts(self) -> list[str]:
        """The parts that it gives its student for its terms."""
        return [name for name in ("predictor", "momentum") if getattr(self, name) is not None]


def require_one_meaning(p: Recipe, row: Row) -> None:
    """Raises ValueError for a row that says two things, or asks for what cannot be had."""
    require_terms(row.weights, without=[*VIEW_TERMS, *BOTTLENECK_TERMS])
    require_parts(row.weights, row.parts)
    if isinstance(row.network, TimmNetwork) and (
        row.block != "none" or row.attention not in ("none", "readout")
    ):
        raise ValueError(
            f"a run with {row.network.backbone} has the block {row.block!r} and `attention: "
            f"{row.attention}`; timm's networks pool by themselves, past any block: it has to be "
            "`block: none`, and `attention: readout` or none"
        )
    if isinstance(row.network, TimmNetwork) and p.chunks > 1:
        dropping = [key for key, value in row.network.options.items() if "drop" in key and value]
        if dropping:
            raise ValueError(
                f"a run with {row.network.backbone} has {dropping[0]}, which would drop other "
                "things in each of the two passes of a chunk; set train_simclr.chunks to 1"
            )
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
    head = {"layers": p.projector_layers, "n_outputs": p.projector_outputs}
    config = encoder_config(
        p,
        row,
        backbone=p.backbone,
        block=row.block,
        source=row.attention,
        projector=asdict(row.projector) if row.projector else head,
    )
    if isinstance(row.network, ResNet):
        config["encoder"] |= asdict(row.network)
    if isinstance(row.network, TimmNetwork):
        config["encoder"] = asdict(row.network)
    if row.predictor:
        config["predictor"] = asdict(row.predictor)
    if row.momentum:
        config["momentum"] = True
    return config


def build_training(
    p: Recipe, row: Row, config: dict[str, Any], *, n_classes: int, world: World
) -> Training:
    """The student that `config` says on its device, with its optimizer, its pass and its loss."""
    require_equal_shares(p, row, world)
    scale = {"none": 1.0, "sqrt": p.batch_size**0.5, "linear": p.batch_size / 256}
    rate = p.learning_rate * scale[p.learning_rate_scaling] * row.learning_rate_times
    student = build_student(config, n_classes=n_classes)
    if isinstance(student.encoder, TimmEncoder):
        student.encoder.require_size(p.image_size)

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
        after=following(student, row),
    )


def following(student: Student, row: Row) -> Callable[[float], None]:
    """What is done after an update, at some share of the training: the momentum encoder's step."""
    follower, momentum = student.momentum, row.momentum
    if follower is None or momentum is None:
        return lambda progress: None
    return lambda progress: follower.follow(student, momentum=momentum.at(progress))


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
