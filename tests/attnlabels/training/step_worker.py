"""One process of `test_step.py`: makes its share of a step and stores what that left.

In double, in which rounding hides no error.
"""

import os
import sys
from pathlib import Path

import torch

from attnlabels.losses.objective import Targets, objective
from attnlabels.models.attention_maps import Source, build_attention
from attnlabels.models.encoder import Encoder
from attnlabels.models.projector import projector
from attnlabels.models.student import Student
from attnlabels.processes.precision import Choice
from attnlabels.processes.world import World, joined
from attnlabels.training.step import Step

N, SIZE, MAP = 12, 24, 6
WEIGHTS = {"contrastive": 1.0, "kld": 1.0, "nss": 0.1, "probe": 1.0}


def student(source: Source = "readout", block: str = "none") -> Student:
    torch.manual_seed(0)
    encoder = Encoder(
        "resnet10", width=8, stem="small", taps="stages", zero_init=False, block=block
    )
    head = projector(encoder.n_features, layers=2, n_outputs=8)
    attention = build_attention(source, select="local_mean_max", output="spatial_softmax", size=MAP)
    return Student(encoder, head, attention, torch.nn.Linear(encoder.n_features, 3)).double()


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
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    step = Step(model, optimizer, world=world, precision=precision, chunks=chunks)
    losses = []

    def forward(model, *views):
        return model(*views, joint=True, stop_gradient=False, gather=world.gather_around)

    def loss(outputs, rows):
        value, _ = objective(outputs, Targets(*rows, 0.1), weights=WEIGHTS)
        losses.append(value.detach())
        return value

    inputs, targets = (
        [rows.chunk(world.size)[world.rank] for rows in part] for part in batch(attended)
    )
    for _ in range(steps):
        step(inputs, targets, forward=forward, loss=loss)
    trained = {key: each for key, each in model.named_parameters() if each.requires_grad}
    left = {f"gradient {key}": each.grad for key, each in trained.items()}
    return left | model.state_dict() | {"loss": torch.stack(losses)}


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
        }
        torch.save(found, out / f"{os.environ['RANK']}.pt")
