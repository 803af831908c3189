"""The training of a task's runs: one loop for all tasks, that of encoders and teachers."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from attnlabels.losses.attention import kld
from attnlabels.pipeline.params import part, record
from attnlabels.processes.checkpoint import Scratch, fingerprint
from attnlabels.processes.precision import Choice
from attnlabels.processes.room import Shares
from attnlabels.processes.world import World
from attnlabels.tasks import action, parts, segmentation
from attnlabels.tasks.examples import Examples, Given, Watched, brought_to, maps_given
from attnlabels.tasks.network import BLOCKS, Network, Outputs
from attnlabels.training.encoders import Loss, Training
from attnlabels.training.loop import Loop, fit
from attnlabels.training.loop import Row as Epoch
from attnlabels.training.optimizers import kernels_and_gains
from attnlabels.training.step import Step

Count = Annotated[int, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
ALL_AT_ONCE = 200  # examples, where nothing is learnt


@runtime_checkable
class Task(Protocol):
    """What a module of a task defines; see CONTRIBUTING.md."""

    SHOWN: tuple[str, ...]  # what a network may be shown of an example

    def read(self, folder: Path, *, shown: str, size: int, masks: Path | None) -> Examples: ...

    def head(self, channels: Sequence[int], n_outputs: int) -> nn.Module: ...

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor: ...

    def answer(self, predicted: Tensor) -> Tensor: ...

    def scores(self, answers: np.ndarray, target: np.ndarray) -> dict[str, float]: ...


TASKS: Mapping[str, Task] = {"segmentation": segmentation, "action": action, "parts": parts}


@record
class Row:
    """What a run has of its own."""

    family: str  # runs of one are alike but for their weight
    shown: str
    block: str  # one of BLOCKS
    given: Given | None  # whose maps it is held to, or given in the place of a mask
    weight: NotNegative  # λ of the divergence of the mask from these
    people: str  # which people that are, where a task has several


@record
class Setting:
    """What all runs of a task share, and the runs."""

    folder: str
    masks: str | None  # of objects, `<stem>.png`
    size: Annotated[int, Field(ge=8, multiple_of=4)]  # px
    channels: tuple[Count, Count, Count]
    people: list[str]  # to whom each run's mask is compared
    fused: str | None  # the run whose answers are averaged with each other run's
    runs: dict[str, Row]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the runs of all tasks are trained; params.yaml says what each value is."""

    batch_size: Annotated[int, Field(ge=2)]
    epochs: Count
    warmup_epochs: NotNegative
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: NotNegative
    development: Annotated[float, Field(gt=0, lt=1)]
    precision: Choice
    processes: Count  # which the stage starts, of GPUs no more than there are; they share the runs
    workers: Annotated[int, Field(ge=0)]
    checkpoint_minutes: NotNegative
    checkpoint_steps: Annotated[int, Field(ge=0)]
    deterministic: bool


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A network, a row of the curve an epoch, and where its state is until all is written."""

    network: Network
    history: list[Epoch]
    scratch: Scratch
    measured: dict[str, str]


def require_runs(name: str, setting: Setting) -> None:
    """Raises ValueError, naming the run, for one that means nothing."""
    if name not in TASKS:
        raise ValueError(f"tasks.{name}: no such task; expected some of {', '.join(TASKS)}")
    for run, row in setting.runs.items():
        where = f"tasks.{name}.runs.{run}"
        if row.block not in BLOCKS:
            raise ValueError(f"{where}.block is {row.block!r}; expected {', '.join(BLOCKS)}")
        if row.shown not in TASKS[name].SHOWN:
            shown = ", ".join(TASKS[name].SHOWN)
            raise ValueError(f"{where}.shown is {row.shown!r}; expected {shown}")
        if row.people not in setting.people:
            raise ValueError(f"{where}.people is {row.people!r}, which tasks.{name}.people lacks")
        if (row.weight > 0) is not (row.given is not None and row.block != "given"):
            raise ValueError(f"{where}: a weight above 0 needs maps that are given, and these one")
        if row.block == "given" and row.given is None:
            raise ValueError(f"{where}: no maps are given in the place of a mask; name `given`")
        if row.block == "none" and row.weight > 0:
            raise ValueError(f"{where}: without a block there is no mask to be held to maps")
    if setting.fused is not None and setting.fused not in setting.runs:
        raise ValueError(f"tasks.{name}.fused is {setting.fused!r}, which is no run")


def train(
    task: Task,
    row: Row,
    examples: Examples,
    recipe: Recipe,
    *,
    channels: tuple[int, int, int],
    seed: int,
    title: str,
    marked: Sequence[Any],
    files: Sequence[Path],
    world: World,
    quiet: bool = False,
) -> Trained:
    """Train one run to its last step, from wherever its state is; `quiet` shows no progress.

    `marked` and `files` are what it is made of beside these, for the name of its state. Runs of one
    seed begin alike where they are alike, and see the same batches.
    """
    asked = zlib.crc32(np.ascontiguousarray(examples.target).tobytes())  # masks are in no shard
    made_of = [vars(recipe), vars(row), channels, seed, asked, *marked]
    scratch = Scratch(f"task-{fingerprint(made_of, files)}")
    torch.manual_seed(seed)
    network = Network(
        examples.shown.shape[1],
        channels,
        block=row.block,
        head=task.head(channels, examples.n_outputs),
    )
    training = _build(task, network, row, recipe, world=world)
    maps = maps_given(examples, row.given or "people", seed=seed)
    history = fit(
        training,
        Watched(examples, maps),
        part(Loop, recipe),
        seed=seed,
        scratch=scratch,
        world=world,
        title=title,
        quiet=quiet,
    )
    return Trained(
        network=network, history=history, scratch=scratch, measured=training.update.measured()
    )


def _build(task: Task, network: Network, row: Row, recipe: Recipe, *, world: World) -> Training:
    """The network on its device, with its optimizer, its pass and its loss."""
    network.to(world.device).to(memory_format=torch.channels_last)
    kernels, gains = kernels_and_gains(network.parameters())
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": recipe.weight_decay},
        {"params": gains, "weight_decay": 0.0},
    ]
    for group in groups:
        group["base"] = group["lr"] = recipe.learning_rate
    shares = Shares(
        section="train_tasks",
        batch_size=recipe.batch_size,
        processes=world.size,
        gpus=world.device.type == "cuda",
    )
    update = Step(
        network,
        torch.optim.AdamW(groups, lr=recipe.learning_rate),
        world=world,
        precision=recipe.precision,
        cures=shares.cures,
    )

    def forward(network: nn.Module, shown: Tensor, given: Tensor) -> Outputs:
        return network(shown, given)

    return Training(
        update,
        inputs=("shown", "map"),
        targets=("target", "map"),
        forward=forward,
        loss=_loss_of(task, weight=row.weight),
    )


def _loss_of(task: Task, *, weight: float) -> Loss:
    """The task's loss, and `weight` times the divergence of the mask from the maps."""

    def loss(
        outputs: Outputs, rows: Mapping[str, Tensor], progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        terms = {"task": task.loss(outputs.predicted, rows["target"])}
        if weight > 0:
            cells = nn.functional.interpolate(
                rows["map"][:, None], outputs.mask.shape[1:], mode="area"
            )
            terms["kld"] = kld(outputs.mask, cells[:, 0]).mean()
        total = terms["task"] + weight * terms.get("kld", torch.zeros(()))
        for name, term in terms.items():
            if not torch.isfinite(term):
                raise FloatingPointError(f"the loss {name} is not finite")
        return total, terms

    return loss


@torch.no_grad()
def ask(
    task: Task, network: Network, examples: Examples, maps: Float[np.ndarray, "n h w"], world: World
) -> tuple[np.ndarray, Float[np.ndarray, "n h w"] | None]:
    """The network's answers, and its masks at the size of people's maps, if it has any."""
    network.eval()
    answers, masks = [], []
    for first in range(0, len(examples), ALL_AT_ONCE):
        rows = slice(first, first + ALL_AT_ONCE)
        shown, given = (
            torch.from_numpy(np.ascontiguousarray(each[rows])).to(world.device)
            for each in (examples.shown, maps)
        )
        found = network(shown, given)
        answers.append(task.answer(found.predicted).float().cpu().numpy())
        masks.append(found.mask.float().cpu().numpy())
    cells = np.concatenate(masks)
    attended = brought_to(cells, examples.maps.shape[1:]) if cells.size else None
    return np.concatenate(answers), attended
