"""One process of `test_step.py`: makes its share of a step and stores what that left.

In double, in which rounding hides no error.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from attnlabels.bottleneck.networks import build_network, numbers_needed
from attnlabels.losses.objective import Targets, objective
from attnlabels.models.attention_maps import Source, build_attention
from attnlabels.models.classifier import Classifier
from attnlabels.models.encoder import Encoder
from attnlabels.models.projector import predictor, projector
from attnlabels.models.student import Momentum, Student
from attnlabels.models.timm_encoder import build_encoder
from attnlabels.processes.precision import Choice
from attnlabels.processes.world import World, joined
from attnlabels.training.step import Step

N, SIZE, MAP = 12, 24, 6
WEIGHTS = {"contrastive": 1.0, "kld": 1.0, "nss": 0.1, "probe": 1.0}


def encoder(**slots: Any) -> Encoder:
    """The same weights each time, those of the slots aside."""
    torch.manual_seed(0)
    shape = {"width": 8, "stem": "small", "taps": "stages", "zero_init": False}
    return Encoder("resnet10", **shape, **slots)


def attention(source: Source) -> torch.nn.Module:
    return build_attention(source, select="local_mean_max", output="spatial_softmax", size=MAP)


def student(source: Source = "readout", block: str = "none") -> Student:
    body = encoder(block=block)
    head = projector(body.n_features, layers=2, n_outputs=8)
    probe = torch.nn.Linear(body.n_features, 3)
    return Student(body, head, attention(source), probe).double()


def classifier(unit_attention: str) -> Classifier:
    body = encoder(unit_attention=unit_attention, attended_stage=2)
    return Classifier(body, attention("none"), torch.nn.Linear(body.n_features, 3)).double()


def batch(attended: int = N) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Images of different means, and labels; the first third has no fixation at all."""
    generator = torch.Generator().manual_seed(1)
    images = []
    for n in (N, N, attended):
        shift = torch.linspace(0, 1, n)[:, None, None, None]
        images.append((torch.rand(n, 3, SIZE, SIZE, generator=generator) + shift).double())
    maps = torch.rand(attended, MAP, MAP, generator=generator).double()
    fixations = (torch.rand(attended, MAP, MAP, generator=generator) > 0.8).double()
    fixations[: attended // 3] = 0
    return images, [torch.arange(N) % 3, maps, fixations]


def make_step(
    world: World,
    *,
    chunks: int = 1,
    steps: int = 1,
    training: bool = True,
    source: Source = "readout",
    block: str = "none",
    attended: int = N,
    precision: Choice = "fp32",
) -> dict[str, torch.Tensor]:
    """What `steps` steps of this process leave: the loss, all gradients, parameters and buffers."""
    model = student(source, block).train(training)
    step = Step(model, descent(model), world=world, precision=precision, chunks=chunks)

    def forward(model, *views):
        return model(*views, joint=True, stop_gradient=False, gather=world.gather_around)

    def score(outputs, rows):
        return objective(outputs, Targets(*rows, 0.1), weights=WEIGHTS)[0]

    return left_by(step, batch(attended), forward=forward, score=score, steps=steps)


def make_pair_step(
    world: World,
    *,
    term: str,
    backbone: str = "resnet10",
    steps: int = 1,
    chunks: int = 1,
    training: bool = True,
) -> dict[str, torch.Tensor]:
    """The same of a student with a predictor and a momentum encoder that follows each step."""
    torch.manual_seed(0)
    body = encoder()
    if backbone != "resnet10":
        body = build_encoder(backbone, taps=[1, 2, 3], options={})
    head = projector(body.n_features, layers=2, n_hidden=10, n_outputs=8, norm="none")
    probe = torch.nn.Linear(body.n_features, 3)
    model = Student(
        body,
        head,
        attention("readout"),
        probe,
        predictor=predictor(8, n_hidden=6),
        momentum=Momentum(body, head),
    ).double()
    optimizer = descent(model.train(training))
    step = Step(model, optimizer, world=world, precision="fp32", chunks=chunks)

    def forward(model, *views):
        return model(*views, joint=True, stop_gradient=False)

    def score(outputs, rows):
        weights = {term: 1.0, "kld": 1.0}
        return objective(outputs, Targets(*rows, 0.1), weights=weights)[0]

    def after():
        model.momentum.follow(model, momentum=0.9)

    return left_by(step, batch(), forward=forward, score=score, steps=steps, after=after)


def make_supervised_step(
    world: World, *, term: str, unit_attention: str = "features"
) -> dict[str, torch.Tensor]:
    """The same of a classifier held to maps of its view, of which the first third has none."""
    model = classifier(unit_attention).train()
    step = Step(model, descent(model), world=world, precision="fp32")
    (view, *_), (labels, maps, _) = batch()
    maps[: N // 3] = 0

    def forward(model, view, labels):
        shown = labels if term == "harmonization" else None
        return model(view, labels=shown, joint=True, stop_gradient=False)

    def score(outputs, rows):
        targets = Targets(rows[0], None, None, None, view_maps=rows[1])
        return objective(outputs, targets, weights={"classification": 1.0, term: 1.0})[0]

    given = ([view, labels], [labels, maps])
    return left_by(step, given, forward=forward, score=score)


def make_bottleneck_step(world: World, *, mask: str | None, **how: Any) -> dict[str, torch.Tensor]:
    """The same of a classifier through a bottleneck, whose noise is part of what it is shown."""
    shape = {"backbone": "resnet10", "width": 8, "stem": "small", "zero_init": False, "stage": 2}
    told = {"mask": mask, "mask_options": {}, "noisy": True, "anchors": None, "code": 5}
    counts = {"decoder_layers": 2, "samples": 1, "test_samples": 2}
    no_head = {"source": "none", "select": "local_mean_max", "output": "softplus", "size": 6}
    config = {"encoder": shape | told | counts | how, "attention": no_head, "image_size": SIZE}
    torch.manual_seed(0)
    model = build_network(config, n_classes=3).double().train()
    step = Step(model, descent(model), world=world, precision="fp32")
    (view, *_), (labels, maps, _) = batch()
    numbers = numbers_needed(config)
    noise = torch.randn(N, numbers, generator=torch.Generator().manual_seed(2)).double()
    weights = {"classification_bits": 1.0, "code_bits": 0.01}
    weights |= {"mask_bits": 0.01, "unit_distance": 1.0} if mask else {}
    weights |= {"codebook": 0.4, "commitment": 0.1} if "anchors" in how else {}

    def score(outputs, rows):
        targets = Targets(rows[0], None, None, None, view_maps=rows[1])
        return objective(outputs, targets, weights=weights)[0]

    given = ([view, noise], [labels, maps])
    return left_by(step, given, forward=lambda model, *shown: model(*shown), score=score)


def descent(model: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.01)


def left_by(
    step: Step,
    given: tuple[list[torch.Tensor], list[torch.Tensor]],
    *,
    forward: Callable[..., Any],
    score: Callable[..., torch.Tensor],
    steps: int = 1,
    after: Callable[[], None] = lambda: None,
) -> dict[str, torch.Tensor]:
    """What steps of this process, on its share of inputs and targets, leave of the model."""
    losses = []

    def loss(outputs, rows):
        value = score(outputs, rows)
        losses.append(value.detach())
        return value

    world = step.world
    inputs, targets = ([rows.chunk(world.size)[world.rank] for rows in part] for part in given)
    for _ in range(steps):
        step(inputs, targets, forward=forward, loss=loss)
        after()
    trained = {key: each for key, each in step.model.named_parameters() if each.requires_grad}
    left = {f"gradient {key}": each.grad for key, each in trained.items()}
    return left | step.model.state_dict() | {"loss": torch.stack(losses)}


SUPERVISED = {
    "gala": {"term": "unit_distance", "unit_attention": "gala"},
    "features": {"term": "unit_distance"},
    "side head": {"term": "unit_distance", "unit_attention": "side_head"},
    "input gradient": {"term": "harmonization"},
}


BOTTLENECKS: dict[str, dict[str, Any]] = {
    "drawn": {"mask": "learnt"},
    "drawn twice, quantised": {"mask": "learnt", "samples": 2, "anchors": 4},
    "no mask": {"mask": None},
}


PAIRS = {
    **{term: {"term": term} for term in ("barlow_twins", "vicreg", "simsiam", "byol", "moco")},
    "byol, three steps": {"term": "byol", "steps": 3},
    "moco, in chunks": {"term": "moco", "chunks": 2, "training": False},
    # its norms have activations inside
    "timm": {"term": "vicreg", "backbone": "timm:test_efficientnet"},
}


if __name__ == "__main__":
    out = Path(sys.argv[1])
    with joined() as world:
        found = {
            "one": make_step(world),
            "three": make_step(world, steps=3),
            "chunks": make_step(world, chunks=2, training=False),
            "mask": make_step(world, source="mask", block="mask"),
            "contracam": make_step(world, source="contracam"),
            "second order": make_step(world, source="contracam_second_order"),
            "cotrain": make_step(world, attended=18),
            "auto": make_step(world, precision="auto"),
            "scaled": make_step(world, precision="fp16"),  # double is left as it is
        }
        for name, how in PAIRS.items():
            found[name] = make_pair_step(world, **how)
        for name, how in SUPERVISED.items():
            found[name] = make_supervised_step(world, **how)
        for name, how in BOTTLENECKS.items():
            found[name] = make_bottleneck_step(world, **how)
        torch.save(found, out / f"{os.environ['RANK']}.pt")
