"""The training of classifiers that attend through an information bottleneck."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from attnlabels.bottleneck.networks import Outputs, build_network
from attnlabels.bottleneck.trunks import Trunked
from attnlabels.losses.collapse import collapsed_mask, spread_of_masks
from attnlabels.losses.objective import (
    ANCHOR_TERMS,
    BOTTLENECK_TERMS,
    CODE_TERMS,
    MASK_TERMS,
    VIEW_TERMS,
    require_terms,
)
from attnlabels.models.attention_head import Output, Select
from attnlabels.processes.room import Shares
from attnlabels.processes.world import World
from attnlabels.training import encoders
from attnlabels.training.encoders import Count, NotNegative, Recipe, Training, on_device, weigh
from attnlabels.training.loop import Row as Epoch

SPREADS = ("mask_spread", "mask_likeness")
TERMS = ("classification", "classification_bits", "unit_distance", *BOTTLENECK_TERMS)


@dataclass(frozen=True, kw_only=True)
class Row(encoders.Row):
    """What a run has of its own; its row in a table of params.yaml.

    Which of mask and code pays for what it tells is which of `mask_bits` and `code_bits` the
    weights name: the code in the paper, the mask in the author's later AIBR, or both.
    """

    backbone: Trunked
    masked_stage: Count
    mask: str | None  # a module of attnlabels.masks
    mask_options: dict[str, Any] = field(default_factory=dict)
    applied: bool = True  # whether maps are multiplied by the mask, or it stands beside them
    noisy: bool  # whether mask and code are drawn, or are their means
    anchors: Annotated[int, Field(ge=2, le=1000)] | None = None
    code: Count
    decoder_layers: Literal[1, 2] = 2
    samples: Count = 1
    test_samples: Count
    ramp_epochs: NotNegative = 0.0  # over which weights of bits rise from 0
    # What the base asks for is for attention heads, which such a network has not.
    attention_select: Select = "local_mean_max"
    attention_output: Output = "spatial_softmax"
    joint_batch_norm: bool = True
    stop_gradient: bool = False

    @property
    def has_view_maps(self) -> bool:
        """Whether it weighs a term of people's maps of the classified view."""
        return any(term in VIEW_TERMS for term in self.weights)


def require_one_meaning(row: Row) -> None:
    """Raises ValueError for a row that weighs what it does not have, or has what it cannot use."""
    require_terms(row.weights)
    if others := sorted(row.weights.keys() - {*TERMS}):
        raise ValueError(f"no terms of a bottleneck: {others}; expected some of {sorted(TERMS)}")
    lacking = {
        "noisy: true": () if row.noisy else (*CODE_TERMS, *MASK_TERMS),
        "a mask": () if row.mask else (*MASK_TERMS, "unit_distance"),
        "anchors": () if row.anchors else ANCHOR_TERMS,
    }
    for what, terms in lacking.items():
        if weighed := sorted(row.weights.keys() & {*terms}):
            raise ValueError(
                f"a run without {what} has nothing for {weighed[0]}; give it {what}, or remove "
                f"{weighed[0]} from its weights"
            )
    if not row.applied and "unit_distance" not in row.weights:
        raise ValueError(
            "a mask that is not applied learns from people's maps alone; weigh unit_distance, or "
            "set `applied` to true"
        )
    if row.anchors and row.mask is None:
        raise ValueError("a run without a mask has nothing to bring to anchors; remove `anchors`")
    if row.anchors and not {*ANCHOR_TERMS} <= row.weights.keys():
        raise ValueError(
            f"a run with anchors weighs {' and '.join(ANCHOR_TERMS)}, or they would not be learnt "
            "and drawn values not kept to them; add both to its weights"
        )


def require_schedule(p: Recipe, row: Row) -> None:
    """Raises ValueError for a ramp that does not end, and for what bottlenecks do not do."""
    if p.compile:
        raise ValueError("a bottleneck is not compiled; set train_bottleneck.compile to false")
    if row.ramp_epochs > p.epochs:
        raise ValueError(
            f"ramp_epochs is {row.ramp_epochs} of {p.epochs} epochs in all, and the weights would "
            "never be reached; shorten it or train for longer"
        )


def network_config(p: Recipe, row: Row) -> dict[str, Any]:
    """What a later stage needs to build the network again, and to feed it."""
    own = ("mask", "mask_options", "applied", "noisy", "anchors", "code", "decoder_layers")
    return {
        "encoder": {
            "backbone": row.backbone,
            "width": p.width,
            "stem": p.stem,
            "zero_init": p.zero_init,
            "stage": row.masked_stage,
            **{key: getattr(row, key) for key in (*own, "samples", "test_samples")},
        },
        "attention": {
            "source": "none",
            "select": row.attention_select,
            "output": row.attention_output,
            "size": row.map_size,
        },
        "image_size": p.image_size,
        "clean_crop": p.clean_crop,
        "eval_crop": p.eval_crop,
    }


def build_training(
    p: Recipe, row: Row, config: dict[str, Any], *, n_classes: int, world: World
) -> Training:
    """The network on its device, with its optimizer, its pass and its loss."""
    require_schedule(p, row)
    network = build_network(config, n_classes=n_classes)
    shares = Shares(
        section="train_bottleneck",
        batch_size=p.batch_size,
        processes=world.size,
        gpus=world.device.type == "cuda",
    )
    rate = p.learning_rate * p.batch_size / 256
    shown = ("view0", "noise") if row.noisy else ("view0",)
    attention = network.encoder.attention
    learnt = attention is not None and any(True for _ in attention.mask.parameters())
    if attention is not None and attention.deviation is None and "mask_bits" in row.weights:
        raise ValueError(
            f"the mask {row.mask} is not drawn, so mask_bits has nothing to price; remove it from "
            "the row's weights"
        )

    if row.mask and not learnt and "unit_distance" in row.weights:
        raise ValueError(
            f"the mask {row.mask} learns nothing, so unit_distance would teach it nothing; remove "
            "it from the row's weights"
        )

    def forward(network: nn.Module, *parts: Tensor) -> Outputs:
        return network(*parts)

    rising = {*CODE_TERMS, *MASK_TERMS} & row.weights.keys()
    return Training(
        on_device(network, p, learning_rate=rate, world=world, shares=shares),
        inputs=shown,
        targets=["label", *(["map0"] if row.has_view_maps else [])],
        forward=forward,
        loss=weigh(
            row.weights,
            watched=lambda outputs: watched(outputs, anchors=row.anchors, learnt=learnt),
            ramps=dict.fromkeys(rising, row.ramp_epochs / p.epochs),
        ),
    )


def watched(outputs: Outputs, *, anchors: int | None, learnt: bool) -> dict[str, Tensor]:
    """What tells that a learnt mask has collapsed, or that anchors lie idle, of a batch."""
    found = spread_of_masks(outputs.mask_mean) if learnt else {}
    if anchors:
        won = torch.unique(outputs.anchored.detach()).numel()
        found["idle_anchors"] = outputs.anchored.new_tensor(anchors - won)
    return found


def warnings(row: Row, epoch: Mapping[str, Any]) -> str:
    """What is wrong with an epoch's row of the curve, or ""."""
    said = [collapsed_mask(epoch) if "mask_spread" in epoch else ""]
    if epoch.get("idle_anchors", 0.0) >= 1:
        said.append(
            f"{epoch['idle_anchors']:.1f} of {row.anchors} anchors are nearest to no cell of a "
            "batch; fewer would do"
        )
    return "; ".join(filter(None, said))


def summary(p: Recipe, row: Row, history: list[Epoch], top1: float) -> dict[str, Any]:
    """The last epoch's losses and what is watched, and the accuracy of scored images."""
    last = history[-1]
    seen = {key: last[key] for key in (*SPREADS, "idle_anchors") if key in last}
    fell = {"collapsed": int(bool(collapsed_mask(last)))} if "mask_spread" in last else {}
    return encoders.summary(row, history) | seen | fell | encoders.probed(p, top1)
