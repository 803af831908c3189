"""Sources of labels other than a teacher: controls, people, objects, ContraCAM (paper Table 1).

A source is asked once, with a task and its own options, and answers with a function that draws
the label of one image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Integer
from pydantic import Field
from torch import nn
from tqdm import tqdm

from attnlabels.images.decoding import resize
from attnlabels.labelling.labeller import Manner
from attnlabels.models.contracam import contracam, queries
from attnlabels.models.encoder import Encoder
from attnlabels.models.files import building, load_weights, read_config
from attnlabels.models.projector import projector
from attnlabels.pipeline.writing import replacing
from attnlabels.processes.loading import as_input, load
from attnlabels.processes.world import World, await_files
from attnlabels.recordings.density import Border, Count, centre_prior, density
from attnlabels.recordings.salicon import read_json
from attnlabels.shards.index import NOBODY
from attnlabels.shards.labelled_squares import Sampled, Squares
from attnlabels.shards.shards import Sample, Shards

Seed = Annotated[int, Field(ge=0)]
Expand = Literal[1, 2, 4]


class Task(NamedTuple):
    """What every source is told."""

    labels: Shards  # of the images that get others
    given: Path  # what it draws from
    manner: Manner | None  # the teacher's; None: the labels are of another source
    scratch: Path  # a folder that keeps what a run that is killed need not do again
    world: World

    @property
    def map_size(self) -> tuple[int, int]:
        """Height and width of the maps of the labels that there are."""
        if self.manner is not None:
            return self.manner.map_size, self.manner.map_size
        height, width = self.labels[0]["map"].shape
        return height, width

    def require_manner(self, source: str) -> Manner:
        """The teacher's manner. Raises ValueError if the labels are not a teacher's."""
        if self.manner is None:
            raise ValueError(
                f"{self.labels.folder}: not a teacher's labels, so its index says no width of maps "
                f"to draw those of the source {source!r} alike; take a teacher's labels"
            )
        return self.manner


class Label(NamedTuple):
    """A map and, unless they are to be found in it, the points that belong to it."""

    map: Float[np.ndarray, "h w"]
    points: Integer[np.ndarray, "n 2"] | None = None  # (row, col) from 0 on `grid`
    observers: Integer[np.ndarray, "n"] | None = None
    grid: tuple[int, int] | None = None  # height, width


class Unknown(ValueError):
    """An image of which a source knows nothing."""


Draw = Callable[[int, Sample], Label]  # of a sample and its number; raises Unknown


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    pass


@dataclass(frozen=True, kw_only=True)
class ShuffledOptions:
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class BoxesOptions:
    above: Annotated[float, Field(ge=0, lt=1)]  # share of the largest value that is in the box


@dataclass(frozen=True, kw_only=True)
class RecordedOptions:
    count: Count
    border: Border


@dataclass(frozen=True, kw_only=True)
class MasksOptions:
    pixels: Literal["shares", "classes"]


@dataclass(frozen=True, kw_only=True)
class ContracamOptions:
    seed: Seed  # of which images are told from each other
    batch_size: Annotated[int, Field(ge=2)]
    expand: Expand  # how many times as many cells a side
    workers: Annotated[int, Field(ge=0)]


def draw_centre(task: Task, options: NoOptions) -> Draw:
    """The same map for every image, of no knowledge but that photographs have a middle."""
    prior = centre_prior(*task.map_size)
    return lambda i, sample: Label(prior)


def draw_shuffled(task: Task, options: ShuffledOptions) -> Draw:
    """Maps as people's or a teacher's are, but none of its own image: one circle through all.

    An image that has none itself gives none, and the next one of the circle is asked.
    """
    labels = task.labels
    if len(labels) < 2:
        raise ValueError(
            f"{labels.folder}: holds 1 image, and no other whose map it could get; label more"
        )
    circle = np.random.default_rng(options.seed).permutation(len(labels))
    other = np.empty_like(circle)
    other[circle] = np.roll(circle, 1)

    def draw(i: int, sample: Sample) -> Label:
        donor = labels[other[i].item()]
        while donor["source"] == NOBODY:
            i = other[i].item()
            donor = labels[other[i].item()]
        if donor["key"] == sample["key"]:
            raise Unknown("no other image has a map that it could get")
        return Label(donor["map"], donor["points"], donor["observers"], donor["grid"])

    return draw


def draw_boxes(task: Task, options: BoxesOptions) -> Draw:
    """The rectangle around the extent of the map that is there (Linsley et al. 2019, Table 1)."""

    def draw(i: int, sample: Sample) -> Label:
        map = sample["map"]
        rows, cols = np.nonzero(map > options.above * map.max())
        box = np.zeros_like(map)
        box[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1] = 1
        if box.all():
            raise Unknown("the box around its map is the whole image")
        return Label(box)

    return draw


def draw_recorded(task: Task, options: RecordedOptions) -> Draw:
    """People's points, and their density, as wide as those that the teacher learnt."""
    manner = task.require_manner("recorded")
    size = manner.map_size
    recordings = {each.name: each for each in read_json(task.given)}

    def draw(i: int, sample: Sample) -> Label:
        recording = recordings.get(sample["name"])
        if recording is None or not len(recording.points):
            raise Unknown("nobody's attention to it was recorded")
        grid = (h, w) = (recording.height, recording.width)
        require_size(grid, sample, task.given)
        down, across = manner.like(grid).density_sigma
        sigma_px = (down * h / size, across * w / size)
        drawn: dict[str, Any] = {"count": options.count, "border": options.border}
        map = density(recording.points, height=h, width=w, sigma_px=sigma_px, **drawn)
        map = resize(map, size, size).clip(min=0)
        return Label(map, recording.points, recording.observers, grid)

    return draw


def draw_masks(task: Task, options: MasksOptions) -> Draw:
    """What of an image's cells is objects. A mask is `<folders>/<stem>.png` below `given`.

    Its `pixels` are shares of objects, up to the mask's brightest grey, or classes, with 0 for what
    is no object, as VOC and COCO have them.
    """
    size = task.map_size
    if not task.given.is_dir():
        raise FileNotFoundError(f"{task.given}: no such folder; put the masks there")

    def draw(i: int, sample: Sample) -> Label:
        path = task.given / Path(sample["name"]).with_suffix(".png")
        if not path.is_file():
            raise Unknown(f"it has no mask {path}")
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
        if grey is None:
            raise ValueError(f"{path}: not a readable PNG; fetch it again")
        require_size(grey.shape, sample, path)
        shares = grey if options.pixels == "shares" else grey > 0
        if not shares.any():
            raise Unknown(f"nothing is in its mask {path}")
        return Label(resize(shares.astype(np.float32), *size).clip(min=0))

    return draw


def require_size(size: tuple[int, ...], sample: Sample, where: Path) -> None:
    if size != sample["image_size"]:
        h, w = sample["image_size"]
        raise ValueError(
            f"{where}: {sample['name']} has {size[0]} x {size[1]} pixels (height x width) there "
            f"and {h} x {w} as it was labelled; take what belongs to these very images"
        )


def draw_contracam(task: Task, options: ContracamOptions) -> Draw:
    """ContraCAM's maps, each image told from those of a batch, enlarged and stretched to 0..1.

    So does alinlab/object-aware-contrastive utils/gradcam.py; but batches are drawn from all of
    the set, since images in its order are of one class.
    """
    labels, n = task.labels, len(task.labels)
    if n < 2:
        raise ValueError(
            f"{labels.folder}: holds 1 image, and no other that it is told from; label more"
        )
    order = np.random.default_rng(options.seed).permutation(n)
    # None is smaller than is asked for.
    batches = np.array_split(order, max(1, n // options.batch_size))
    cells = find_cells(task, batches, expand=options.expand, workers=options.workers)
    place, size = np.argsort(order), task.map_size

    def draw(i: int, sample: Sample) -> Label:
        map = resize(cells[place[i]], *size)
        low, high = map.min(), map.max()
        if low == high:
            raise Unknown("nothing tells it from other images")
        return Label((map - low) / (high - low))

    return draw


def find_cells(
    task: Task, batches: list[np.ndarray], *, expand: Expand, workers: int
) -> Float[np.ndarray, "n h w"]:
    """ContraCAM of the images of batches, one after the other, at the encoder's resolution.

    Process r of n finds those of the batches r, r + n, ..., and keeps each batch's in a file. All
    are held in the end: of ImageNet 250 MB at 7 x 7, and `expand` squared times as much.
    """
    files = [task.scratch / f"cells-{number:06d}.npy" for number in range(len(batches))]
    share = range(task.world.rank, len(batches), task.world.size)
    left = [number for number in share if not files[number].is_file()]
    encoder, head, image_size = read_network(task.given)
    widen(encoder, expand)
    encoder.to(task.world.device).to(memory_format=torch.channels_last)
    head.to(task.world.device)
    images = Sampled(task.labels, np.arange(len(task.labels)))
    loaded = load(
        Squares(images, task.labels.labels, size=image_size, crop=1.0),
        workers=workers,
        batch_sampler=[batches[number].tolist() for number in left],
    )
    quiet = None if task.world.first else True
    progress = tqdm(loaded, "contracam", len(share), initial=len(share) - len(left), disable=quiet)
    for number, (pixels, _) in zip(left, progress, strict=True):
        with torch.no_grad():
            stage = encoder(as_input(pixels.to(task.world.device))).last
            keys = queries(stage, head)
            found = contracam(stage, head, negatives=keys, own=slice(None), second_order=False)
        if not found.isfinite().all():
            raise ValueError(f"{task.given}: the encoder's maps are not finite; train it again")
        with replacing(files[number]) as aside, open(aside, "wb") as file:
            np.save(file, found.cpu().numpy())
    await_files(files)
    return np.concatenate([np.load(file) for file in files])


def read_network(weights: Path) -> tuple[Encoder, nn.Module, int]:
    """An encoder with its projector, both to be looked at only, and the side of its images."""
    config = read_config(weights, "encoder", "projector", "image_size")
    with building(weights):
        encoder = Encoder(**config["encoder"])
        head = projector(encoder.n_features, **config["projector"])
    load_weights(weights, encoder, prefix="encoder.")
    load_weights(weights, head, prefix="projector.")
    return encoder.eval(), head.eval(), config["image_size"]


def widen(encoder: Encoder, expand: Expand) -> None:
    """Let the last stage, or the last two, not shrink their maps: the code's `expand_res`."""
    for stage in {1: [], 2: [encoder.layer4], 4: [encoder.layer3, encoder.layer4]}[expand]:
        for each in stage[0].modules():
            if isinstance(each, nn.Conv2d):
                each.stride = (1, 1)


class Source(NamedTuple):
    """`draw` is called once, with the task and its `options`."""

    kind: str  # of maps, as shards have it
    options: type
    draw: Callable[[Task, Any], Draw]


SOURCES = {
    "centre": Source("centre", NoOptions, draw_centre),
    "shuffled": Source("shuffled", ShuffledOptions, draw_shuffled),
    "boxes": Source("boxes", BoxesOptions, draw_boxes),
    "recorded": Source("human", RecordedOptions, draw_recorded),
    "masks": Source("masks", MasksOptions, draw_masks),
    "contracam": Source("contracam", ContracamOptions, draw_contracam),
}
