"""Training of the saliency teacher on recordings of where people looked (paper §3.2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from attnlabels.images.crops import WHOLE, Box, count_points, crop_map, sigma_on
from attnlabels.images.decoding import decode, resize
from attnlabels.losses.attention import kld, nss
from attnlabels.metrics.saliency import cc
from attnlabels.pipeline.params import part
from attnlabels.processes.checkpoint import Scratch
from attnlabels.processes.loading import as_input
from attnlabels.processes.precision import Choice
from attnlabels.processes.room import Cures
from attnlabels.processes.world import World
from attnlabels.shards.shards import Shards
from attnlabels.teachers.network import Output, Teacher
from attnlabels.training.loop import Batch, Loop, fit
from attnlabels.training.step import Step, set_determinism
from attnlabels.training.views import draw_jitter, jitter_colour

Count = Annotated[int, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
# Of a backbone that came with weights, times the rate of what is new: it has less to learn, and at
# the full rate the branches' first, wrong gradients would undo what it knows.
BACKBONE_RATE = 0.1


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
    # At which it is scored and labels; None: image_size. Crops enlarge what they show, so objects
    # and blobs are as large as they were learnt in an image that is enlarged likewise (Touvron et
    # al., NeurIPS 2019, of classifiers).
    test_size: tuple[Count, Count] | None
    kld_weight: NotNegative
    nss_weight: NotNegative
    batch_size: Annotated[int, Field(ge=2)]
    epochs: Count
    warmup_epochs: NotNegative
    learning_rate: Annotated[float, Field(gt=0)]
    final_rate: Annotated[float, Field(ge=0, le=1)]  # times learning_rate, at the last step
    weight_decay: NotNegative
    offset: float  # from which learnt_offset learns
    norm_momentum: Annotated[float, Field(gt=0, le=1)]
    average: Annotated[float, Field(ge=0, lt=1)]
    flip: Annotated[float, Field(ge=0, le=1)]
    zoom: Annotated[float, Field(gt=0, le=1)]
    jitter_strength: NotNegative
    jitter_hue: Annotated[float, Field(ge=0, le=0.5)]
    precision: Choice
    processes: Count  # which the stage starts; the training takes the world as it is
    workers: Annotated[int, Field(ge=0)]
    checkpoint_minutes: NotNegative
    checkpoint_steps: Annotated[int, Field(ge=0)]
    deterministic: bool

    def tested(self) -> "Recipe":
        """The recipe with the image size at which the teacher is scored."""
        return replace(self, image_size=self.test_size or self.image_size)


class Recordings(Dataset[dict[str, Any]]):
    """Photographs, densities and recorded points, kept decoded at the teacher's input size."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.recipe = recipe
        h, w = recipe.image_size
        self.keys, self.images, self.maps, self.points, self.grids = [], [], [], [], []
        sizes: list[tuple[int, int]] = []
        shards = Shards(folder)
        for index in tqdm(range(len(shards)), desc=f"reading {folder}", disable=None):
            sample = shards[index]
            image = decode(sample["image"], name=f"{folder}: {sample['key']}")
            self.keys.append(sample["key"])
            self.images.append(resize(image, h, w))
            self.maps.append(crop_map(sample["map"], WHOLE, size=(h, w)))
            self.points.append(sample["points"])
            self.grids.append(sample["grid"])
            sizes.append(sample["image_size"])
        # In pixels of what it is scored at, where blobs are as wide as crops showed them.
        tested = recipe.tested().image_size
        self.sigma_px = sigma_of(shards.index["maps_by"], sizes, folder, input_size=tested)

    def __len__(self) -> int:
        return len(self.images)

    def key_of(self, index: int) -> str:
        """The key of the image of that number."""
        return self.keys[index]

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
        targets = {"map": crop_map(self.maps[index], box, size=recipe.image_size)}
        if recipe.nss_weight > 0:
            targets["points"] = count_points(
                self.points[index], grid=self.grids[index], box=box, size=recipe.image_size
            )
        if rng.random() < recipe.flip:
            image = image[:, ::-1]
            targets = {name: target[:, ::-1] for name, target in targets.items()}
        return {
            "image": np.rint(image * 255).astype(np.uint8),
            **{name: np.ascontiguousarray(target) for name, target in targets.items()},
            "index": index,
        }


def sigma_of(
    maps_by: Mapping[str, Any],
    sizes: Sequence[tuple[int, int]],
    folder: Path,
    *,
    input_size: tuple[int, int],
) -> tuple[float, float]:
    """σ of the densities, down and across, in pixels of the teacher's input.

    Round on the image, it is not on an input of another shape. Images are of various shapes, and
    the median stands for them. Raises ValueError for shards of `folder` that do not tell.
    """
    if not {"sigma_px", "sigma_width"} <= maps_by.keys():
        raise ValueError(
            f"{folder}: does not say the σ of its densities, which labels need; write the shards "
            "by prepare_attention"
        )
    height = float(np.median([h / w for h, w in sizes]))
    share = maps_by["sigma_px"] / maps_by["sigma_width"]
    return sigma_on(input_size, height=height, share=share)


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
    build: Callable[[], Teacher],
    *,
    recordings: Recordings,
    dev: Recordings,
    scratch: Scratch,
    world: World,
    cures: Cures,
) -> tuple[Teacher, list[dict[str, float | int]], dict[str, str]]:
    """A teacher that `build` makes, with the weights of the epoch with the best mean CC on `dev`.

    What it draws at random is of the recipe's seed. A backbone that is frozen stays as it is, one
    that came with weights learns at `BACKBONE_RATE` times the rate of the rest.

    Also returns a row an epoch (epoch, step, loss, dev_cc) and what was measured (`Step.measured`).
    The state of the training is kept in `scratch`, and one that is found there goes on. `cures`
    says what to set where the memory is too small.
    """
    set_determinism(recipe.deterministic)
    torch.manual_seed(recipe.seed)
    teacher = build().to(world.device)
    teacher.to(memory_format=torch.channels_last)
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = recipe.norm_momentum
    learning = Learning(teacher, dev, recipe=recipe, world=world, cures=cures)
    history = fit(
        learning,
        recordings,
        part(Loop, recipe),
        seed=recipe.seed,
        scratch=scratch,
        world=world,
        title="teacher",
    )
    teacher.load_state_dict(learning.best)
    return teacher, history, learning.update.measured()


def architecture(recipe: Recipe, design: Design) -> dict[str, Any]:
    """What `Teacher` is built with to be trained."""
    return {
        "taps": design.taps,
        "pool_stride": recipe.pool_stride,
        "output": design.output,
        "offset": recipe.offset,
    }


def header(
    teacher: Teacher, recordings: Recordings, *, fitted_sigma_px: tuple[float, float]
) -> dict[str, Any]:
    """What the file of a teacher's weights says, which `read_trained` asks for."""
    return {
        "teacher": teacher.architecture,
        "image_size": recordings.recipe.tested().image_size,
        "sigma_px": recordings.sigma_px,
        "fitted_sigma_px": fitted_sigma_px,
    }


class Maps(NamedTuple):
    """What the teacher puts out, a row an image."""

    maps: Float[Tensor, "n h w"]


class Learning:
    """A teacher, its optimizer and the mean of its weights over steps, one update at a time.

    The mean (decay `average` a step) is what is scored on `dev` and kept; with an `average` of 0 it
    is the weights themselves. `best` is the mean of the epoch with the best score.
    """

    def __init__(
        self, teacher: Teacher, dev: Recordings, *, recipe: Recipe, world: World, cures: Cures
    ) -> None:
        self.teacher, self.dev, self.recipe, self.world = teacher, dev, recipe, world
        optimizer = torch.optim.AdamW(
            parameter_groups(teacher), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.update = Step(teacher, optimizer, world=world, precision=recipe.precision, cures=cures)
        self.mean = {key: value.detach().clone() for key, value in teacher.state_dict().items()}
        self.best, self.best_cc, self.steps = self.mean, -1.0, 0

    def step(self, batch: Batch, *, rate: float, progress: float) -> dict[str, float]:
        """One update at `rate` times the learning rate, and the mean moved after it."""
        for group in self.update.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * rate * group["share"]
        self.teacher.train()
        loss = train_step(self.update, batch, recipe=self.recipe)
        average = min(self.recipe.average, (1 + self.steps) / (10 + self.steps))
        move_mean(self.mean, self.teacher, average=average)
        self.steps += 1
        return {"loss": loss}

    def end_epoch(self, means: dict[str, float], *, epoch: int, step: int) -> dict[str, Any]:
        """The epoch's mean loss and the score of the mean weights, kept if it is the best."""
        own = {key: value.clone() for key, value in self.teacher.state_dict().items()}
        self.teacher.load_state_dict(self.mean)
        dev_cc = mean_cc(self.teacher, self.dev, recipe=self.recipe, world=self.world)
        self.teacher.load_state_dict(own)
        if dev_cc > self.best_cc:
            self.best_cc = dev_cc
            self.best = {key: value.clone() for key, value in self.mean.items()}
        return {"epoch": epoch, "step": step, **means, "dev_cc": dev_cc}

    def state_dict(self) -> dict[str, Any]:
        """What an uninterrupted run knows between two steps."""
        own = {"mean": self.mean, "best": self.best, "best_cc": self.best_cc, "steps": self.steps}
        return {**self.update.state_dict(), **own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.update.load_state_dict(state)
        self.mean, self.best = (
            {key: value.to(self.world.device) for key, value in state[name].items()}
            for name in ("mean", "best")
        )
        self.best_cc, self.steps = state["best_cc"], state["steps"]


def parameter_groups(teacher: Teacher) -> list[dict[str, Any]]:
    """What of a teacher learns, and at which `share` of the learning rate."""
    learning = [each for each in teacher.parameters() if each.requires_grad]
    if not teacher.has_weights:
        return [{"params": learning, "share": 1.0}]
    known = {id(each) for each in teacher.backbone.parameters()}
    groups = [
        {"params": [each for each in learning if id(each) not in known], "share": 1.0},
        {"params": [each for each in learning if id(each) in known], "share": BACKBONE_RATE},
    ]
    return [group for group in groups if group["params"]]


def train_step(update: Step, batch: Batch, *, recipe: Recipe) -> float:
    """One update by λ·KLD - β·NSS, the student's loss; the paper names none for the teacher.

    Returns the loss of the whole batch, of which `batch` is this process's share. Raises
    FloatingPointError if it or its gradient is not finite.
    """
    values = []

    def forward(teacher: nn.Module, images: Tensor) -> Maps:
        return Maps(teacher(images))

    def loss(outputs: Maps, targets: Sequence[Tensor]) -> Float[Tensor, ""]:
        terms = {"kld": kld(outputs.maps, targets[0]).mean()}
        value = recipe.kld_weight * terms["kld"]
        if recipe.nss_weight > 0:  # a quarter of a step's time
            terms["nss"] = nss(outputs.maps, targets[1]).mean()
            value = value - recipe.nss_weight * terms["nss"]
        if not torch.isfinite(value):
            found = {name: float(term.detach()) for name, term in terms.items()}
            raise FloatingPointError(f"the loss is not finite: {found}")
        values.append(float(value.detach()))
        return value

    targets = [batch[name] for name in ("map", "points") if name in batch]
    update([batch["image"]], targets, forward=forward, loss=loss)
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
