"""The loop of every training: batches in their order, a row an epoch, a state to go on from."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from attnlabels.processes.checkpoint import Scratch
from attnlabels.processes.loading import as_input, load
from attnlabels.processes.resumable import Resumable
from attnlabels.processes.world import World
from attnlabels.training.order import Batches

IMAGES = ("image", "view0", "view1", "clean")  # the parts of a batch that are images
Batch = dict[str, Tensor]
Row = dict[str, Any]  # of the curve: an epoch's numbers


@runtime_checkable
class Samples(Protocol):
    """What is trained on; an item is named (epoch, index) and has its number as `index`."""

    def __len__(self) -> int: ...

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]: ...

    def key_of(self, index: int) -> str:
        """The name of the image of that number."""


@runtime_checkable
class Trained(Protocol):
    """What is trained, an update at a time, and all that an uninterrupted run knows of it."""

    def step(self, batch: Batch, *, rate: float, progress: float) -> dict[str, float]:
        """One update at `rate` times the learning rate; the numbers whose mean an epoch reports.

        `batch` is this process's share, `progress` the share of the training that is behind it.
        Raises FloatingPointError if a number is not finite.
        """

    def end_epoch(self, means: dict[str, float], *, epoch: int, step: int) -> Row:
        """The epoch's row of the curve, of the means of what its steps returned."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Loop:
    """How long a training lasts, and how often its state is kept."""

    batch_size: int
    epochs: int
    warmup_epochs: float
    workers: int
    checkpoint_minutes: float
    checkpoint_steps: int
    final_rate: float = 0.0  # times the learning rate, at the last step

    def rate(self, step: int, order: Batches) -> float:
        """The factor on the learning rate at `step`, counted from 0."""
        return warmup_cosine(
            step,
            warmup_steps=round(self.warmup_epochs * order.steps_per_epoch),
            total_steps=order.total,
            final=self.final_rate,
        )


@dataclass
class Progress:
    """How far a training has come: the rows of past epochs, and the sums of the one begun."""

    step: int = 0
    history: list[Row] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)


def fit(
    training: Trained,
    samples: Samples,
    loop: Loop,
    *,
    seed: int,
    scratch: Scratch,
    world: World,
    title: str,
    beside: tuple[Samples, int] | None = None,
    watch: Callable[[Row], str] = lambda row: "",
    quiet: bool = False,
) -> list[Row]:
    """Train to the last step, from wherever `scratch` has it; returns a row an epoch.

    `beside`: other samples, and how many of them join each batch. `watch` says of an epoch's row
    what is wrong with it, or "". `quiet` shows no progress. Raises ValueError, with the step and
    the batch's first images, if a number is not finite.
    """
    so_far = Progress()
    with Resumable(
        scratch, world, minutes=loop.checkpoint_minutes, steps=loop.checkpoint_steps
    ) as kept:
        if state := kept.read():
            training.load_state_dict(state)
            so_far = Progress(state["step"], state["history"], state["sums"])
        order, loaded = open_batches(
            samples, loop, beside, seed=seed, start=so_far.step, world=world
        )

        def everything() -> dict[str, Any]:
            return {**training.state_dict(), **vars(so_far), "random": random_state(world.device)}

        hidden = quiet or not world.first or None  # None: where this is no terminal
        with tqdm(desc=title, total=order.total, initial=so_far.step, disable=hidden) as bar:
            for batch in drawing_on(loaded, state, world.device):
                rate = loop.rate(so_far.step, order)
                progress = so_far.step / order.total
                with naming_images(batch, samples, step=so_far.step):
                    terms = training.step(batch, rate=rate, progress=progress)
                if row := advance(so_far, terms, training, steps_per_epoch=order.steps_per_epoch):
                    bar.set_postfix(readable(row))
                    if world.first and (why := watch(row)):
                        tqdm.write(f"warning: epoch {row['epoch']}: {why}", file=sys.stderr)
                bar.update()
                kept.done(so_far.step, everything)
        kept.save(so_far.step, everything)  # what follows may still fail, and would cost the run
    return so_far.history


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Of torch's generators, which a network's dropout draws from; each process's are the same."""
    drawn = {"cpu": torch.get_rng_state()}
    return drawn | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def drawing_on(
    loaded: Iterator[Batch], state: dict[str, Any] | None, device: torch.device
) -> Iterator[Batch]:
    """The batches; from the first on, torch draws as the run did whose `state` it goes on from."""
    for batch in loaded:
        if state:  # not sooner: a loader draws a number as it begins
            random, state = state["random"], None
            torch.set_rng_state(random["cpu"])
            if device.type == "cuda" and "cuda" in random:  # begun on a CPU, it has none
                torch.cuda.set_rng_state(random["cuda"], device)
        yield batch


def warmup_cosine(step: int, *, warmup_steps: int, total_steps: int, final: float = 0.0) -> float:
    """Factor on the learning rate at `step`, counted from 0: linear from 0 to 1, cosine to `final`.

    As in google-research/simclr:model_util.py. Raises ValueError unless the warm-up is shorter than
    the run.
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(
            f"{warmup_steps} warm-up steps of {total_steps} in all, expected 0 or more and "
            "fewer than all; train for more epochs or warm up for fewer"
        )
    if step < warmup_steps:
        return step / warmup_steps
    progress = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


def advance(
    so_far: Progress, terms: dict[str, float], training: Trained, *, steps_per_epoch: int
) -> Row | None:
    """Count a step with what it returned; the epoch's row if that was its last."""
    so_far.step += 1
    for key, value in terms.items():
        so_far.sums[key] = so_far.sums.get(key, 0.0) + value / steps_per_epoch
    if so_far.step % steps_per_epoch:
        return None
    epoch = so_far.step // steps_per_epoch
    row = training.end_epoch(so_far.sums, epoch=epoch, step=so_far.step)
    so_far.history.append(row)
    so_far.sums = {}
    return row


def readable(row: Row) -> dict[str, str]:
    """What the progress bar shows of an epoch."""
    return {key: f"{row[key]:.3f}" for key in row if key not in ("epoch", "step", "lr")}


@contextmanager
def naming_images(batch: Batch, samples: Samples, *, step: int) -> Iterator[None]:
    """In this block a FloatingPointError becomes a ValueError that says where to look."""
    try:
        yield
    except FloatingPointError as error:
        keys = [samples.key_of(i) for i in batch["index"][:5].tolist()]
        raise ValueError(
            f"step {step}: {error}; the batch begins with {', '.join(keys)}; look at these "
            "images, lower learning_rate or use fp32"
        ) from error


def open_batches(
    samples: Samples,
    loop: Loop,
    beside: tuple[Samples, int] | None,
    *,
    seed: int,
    start: int,
    world: World,
) -> tuple[Batches, Iterator[Batch]]:
    """The order of the batches from step `start` on, and this process's share of each.

    The samples `beside` are in an order and in epochs of their own.
    """
    share = {"seed": seed, "start": start, "rank": world.rank, "size": world.size}
    order = Batches(len(samples), batch_size=loop.batch_size, epochs=loop.epochs, **share)
    loaded = load_batches(samples, order, workers=loop.workers, device=world.device)
    if not beside:
        return order, loaded
    others, n = beside
    epochs = -(-order.total // (len(others) // n))
    joining = Batches(len(others), batch_size=n, epochs=epochs, **share)
    more = load_batches(others, joining, workers=loop.workers, device=world.device)
    return order, ({**own, **other} for own, other in zip(loaded, more))


def load_batches(
    samples: Samples, order: Batches, *, workers: int, device: torch.device
) -> Iterator[Batch]:
    """Batches on the device; images become float [n, 3, h, w] in [0, 1], channels last."""
    for batch in load(
        cast(Dataset[Any], samples),
        workers=workers,
        pin_memory=device.type == "cuda",
        batch_sampler=order,
    ):
        moved = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        yield {key: as_input(rows) if key in IMAGES else rows for key, rows in moved.items()}
