"""Training of the saliency teacher on recordings of where people looked (paper §3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from attnlabels.images.crops import WHOLE, Box, count_points, crop_map
from attnlabels.images.decoding import decode, resize
from attnlabels.losses.attention import kld, nss
from attnlabels.metrics.saliency import cc
from attnlabels.models.teacher import Output, Teacher
from attnlabels.processes.checkpoint import Scratch
from attnlabels.processes.loading import as_input, start_worker
from attnlabels.processes.resumable import Resumable
from attnlabels.processes.world import World
from attnlabels.shards.shards import Shards
from attnlabels.training.order import Batches
from attnlabels.training.schedule import warmup_cosine
from attnlabels.training.step import Precision, Step, set_determinism
from attnlabels.training.views import draw_jitter, jitter_colour

Count = Annotated[int, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class Design:
    """What a teacher reads and puts out: that by which one differs from another."""

    taps: tuple[Annotated[int, Field(ge=0, le=12)], ...]
    output: Output


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the trainings of all teachers share; params.yaml says what each value is."""

    seed: int
    pool_stride: Count
    image_size: tuple[Count, Count]
    kld_weight: NotNegative
    nss_weight: NotNegative
    batch_size: Annotated[int, Field(ge=2)]
    epochs: Count
    warmup_epochs: NotNegative
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: NotNegative
    norm_momentum: Annotated[float, Field(gt=0, le=1)]
    average: Annotated[float, Field(ge=0, lt=1)]
    flip: Annotated[float, Field(ge=0, le=1)]
    zoom: Annotated[float, Field(gt=0, le=1)]
    jitter_strength: NotNegative
    jitter_hue: Annotated[float, Field(ge=0, le=0.5)]
    precision: Precision
    processes: Count  # which the stage starts; the training takes the world as it is
    workers: Annotated[int, Field(ge=0)]
    checkpoint_minutes: NotNegative
    checkpoint_steps: Annotated[int, Field(ge=0)]
    deterministic: bool


class Recordings(Dataset[dict[str, Any]]):
    """Photographs, densities and recorded points, kept decoded at the teacher's input size."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.recipe = recipe
        h, w = recipe.image_size
        self.keys, self.images, self.maps, self.points, self.grids = [], [], [], [], []
        shards = Shards(folder)
        for index in tqdm(range(len(shards)), desc=f"reading {folder}", disable=None):
            sample = shards[index]
            image = decode(sample["image"], name=f"{folder}: {sample['key']}")
            self.keys.append(sample["key"])
            self.images.append(resize(image, h, w))
            self.maps.append(crop_map(sample["map"], WHOLE, size=(h, w)))
            self.points.append(sample["points"])
            self.grids.append(sample["grid"])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        """One augmented sample, drawn from (seed, epoch, index): one box for all three."""
        epoch, index = item
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, epoch, index])
        height, width = rng.uniform(recipe.zoom, 1, size=2)
        box = (rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width)
        image = crop_image(self.images[index], box).astype(np.float32) / 255
        if recipe.jitter_strength > 0:
            jitter = draw_jitter(strength=recipe.jitter_strength, hue=recipe.jitter_hue, rng=rng)
            jitter_colour(image, jitter)
        map = crop_map(self.maps[index], box, size=recipe.image_size)
        points = count_points(
            self.points[index], grid=self.grids[index], box=box, size=recipe.image_size
        )
        if rng.random() < recipe.flip:
            image, map, points = image[:, ::-1], map[:, ::-1], points[:, ::-1]
        return {
            "image": np.rint(image * 255).astype(np.uint8),
            "map": np.ascontiguousarray(map),
            "points": points.copy(),
            "index": index,
        }


def crop_image(image: np.ndarray, box: Box) -> np.ndarray:
    """The part of `image` inside `box`, enlarged to the image's size."""
    (h, w), (top, left, height, width) = image.shape[:2], box
    matrix = np.array(
        [
            [width, 0, left * w + width / 2 - 0.5],
            [0, height, top * h + height / 2 - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, (w, h), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def train(
    recipe: Recipe,
    design: Design,
    *,
    recordings: Recordings,
    dev: Recordings,
    scratch: Scratch,
    world: World,
) -> tuple[Teacher, list[dict[str, float | int]]]:
    """A teacher from random weights, those of the epoch with the best mean CC on `dev`.

    Also returns a row an epoch: epoch, step, loss, dev_cc. The state of the training is kept in
    `scratch`, and one that is found there goes on.
    """
    set_determinism(recipe.deterministic)
    torch.manual_seed(recipe.seed)
    teacher = Teacher(**architecture(recipe, design)).to(world.device)
    teacher.to(memory_format=torch.channels_last)
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = recipe.norm_momentum
    history = fit(teacher, recordings, dev, recipe=recipe, scratch=scratch, world=world)
    return teacher, history


def architecture(recipe: Recipe, design: Design) -> dict[str, Any]:
    """What `Teacher` is built with."""
    return {"taps": design.taps, "pool_stride": recipe.pool_stride, "output": design.output}


class Maps(NamedTuple):
    """What the teacher puts out, a row an image."""

    maps: Float[Tensor, "n h w"]


def fit(
    teacher: Teacher,
    train: Recordings,
    dev: Recordings,
    *,
    recipe: Recipe,
    scratch: Scratch,
    world: World,
) -> list[dict[str, float | int]]:
    """A row an epoch; leaves `teacher` with the mean weights of the epoch best on `dev`.

    The mean over steps (decay `average` a step) is what is scored and kept; with an
    `average` of 0 it is the weights themselves.
    """
    optimizer = torch.optim.AdamW(
        teacher.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    update = Step(teacher, optimizer, world=world, precision=recipe.precision)
    mean = {key: value.detach().clone() for key, value in teacher.state_dict().items()}
    best, step, history, loss_sum = mean, 0, [], 0.0
    with Resumable(
        scratch, world, minutes=recipe.checkpoint_minutes, steps=recipe.checkpoint_steps
    ) as kept:
        if state := kept.read():
            update.load_state_dict(state)
            mean, best = (
                {key: value.to(world.device) for key, value in state[name].items()}
                for name in ("mean", "best")
            )
            step, history, loss_sum = state["step"], state["history"], state["loss_sum"]
        batches = Batches(
            len(train),
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            seed=recipe.seed,
            start=step,
            rank=world.rank,
            size=world.size,
        )
        warmup_steps = round(recipe.warmup_epochs * batches.steps_per_epoch)
        loader: DataLoader[Any] = DataLoader(
            train, batch_sampler=batches, num_workers=recipe.workers, worker_init_fn=start_worker
        )

        def everything() -> dict[str, Any]:
            progress = {"history": history, "loss_sum": loss_sum}
            return {**update.state_dict(), "mean": mean, "best": best, **progress}

        quiet = None if world.first else True
        with tqdm(desc="teacher", total=batches.total, initial=step, disable=quiet) as progress:
            for batch in loader:
                factor = warmup_cosine(step, warmup_steps=warmup_steps, total_steps=batches.total)
                for group in optimizer.param_groups:
                    group["lr"] = recipe.learning_rate * factor
                teacher.train()
                try:
                    loss = train_step(update, batch, recipe=recipe, device=world.device)
                except FloatingPointError as error:
                    names = ", ".join(train.keys[i] for i in batch["index"][:5].tolist())
                    raise ValueError(
                        f"step {step}: {error}; the batch begins with {names}; look at these "
                        "images, lower learning_rate or use fp32"
                    ) from error
                move_mean(mean, teacher, average=min(recipe.average, (1 + step) / (10 + step)))
                loss_sum += loss / batches.steps_per_epoch
                step += 1
                progress.update()
                if step % batches.steps_per_epoch == 0:
                    own = {key: value.clone() for key, value in teacher.state_dict().items()}
                    teacher.load_state_dict(mean)
                    dev_cc = mean_cc(teacher, dev, recipe=recipe, world=world)
                    if dev_cc > max((each["dev_cc"] for each in history), default=-1.0):
                        best = {key: value.clone() for key, value in mean.items()}
                    teacher.load_state_dict(own)
                    epoch = step // batches.steps_per_epoch
                    row = {"epoch": epoch, "step": step, "loss": loss_sum, "dev_cc": dev_cc}
                    history.append(row)
                    progress.set_postfix(loss=f"{loss_sum:.3f}", dev_cc=f"{dev_cc:.3f}")
                    loss_sum = 0.0
                kept.done(step, everything)
        kept.save(step, everything)  # what follows may still fail, and would cost the run
    teacher.load_state_dict(best)
    return history


def train_step(
    update: Step, batch: dict[str, Tensor], *, recipe: Recipe, device: torch.device
) -> float:
    """One update by λ·KLD - β·NSS, the student's loss; the paper names none for the teacher.

    Returns the loss of the whole batch, of which `batch` is this process's share. Raises
    FloatingPointError if it or its gradient is not finite.
    """
    values = []

    def forward(teacher: nn.Module, images: Tensor) -> Maps:
        return Maps(teacher(images))

    def loss(outputs: Maps, targets: Sequence[Tensor]) -> Float[Tensor, ""]:
        maps, points = targets
        divergence, at_points = kld(outputs.maps, maps).mean(), nss(outputs.maps, points).mean()
        value = recipe.kld_weight * divergence - recipe.nss_weight * at_points
        if not torch.isfinite(value):
            terms = {"kld": float(divergence.detach()), "nss": float(at_points.detach())}
            raise FloatingPointError(f"the loss is not finite: {terms}")
        values.append(float(value.detach()))
        return value

    images, *targets = (batch[key].to(device) for key in ("image", "map", "points"))
    update([as_input(images)], targets, forward=forward, loss=loss)
    return values[0]


@torch.no_grad()
def move_mean(mean: dict[str, Tensor], teacher: Teacher, *, average: float) -> None:
    """Move the running mean of the weights towards the teacher's; counters are copied."""
    for key, value in teacher.state_dict().items():
        if value.is_floating_point():
            mean[key].lerp_(value, 1 - average)
        else:
            mean[key].copy_(value)


@torch.no_grad()
def mean_cc(teacher: Teacher, dev: Recordings, *, recipe: Recipe, world: World) -> float:
    """Mean over images of the correlation between prediction and recorded density."""
    teacher.eval()
    scores = []
    own = range(world.rank, len(dev), world.size)
    for first in range(0, len(own), recipe.batch_size):
        indices = own[first : first + recipe.batch_size]
        images = torch.from_numpy(np.stack([dev.images[i] for i in indices]))
        maps = teacher(as_input(images.to(world.device))).cpu().numpy()
        scores += [cc(map, dev.maps[i]) for map, i in zip(maps, indices)]
    assert world.total(len(scores)) == len(dev)  # each image once
    return world.total(float(np.sum(scores))) / len(dev)
