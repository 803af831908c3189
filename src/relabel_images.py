"""Give labelled images maps and points of another source than the teacher (paper Table 1).

    python src/relabel_images.py NAME LABELS GIVEN OUT

NAME is a row of `relabel_images` in params.yaml. OUT gets the images of the shards LABELS, with
their keys and classes and in their order, and what the row's source makes of GIVEN:

    centre      a Gaussian at the centre, the evaluation's centre prior   GIVEN is not read
    shuffled    the map and the points of another image of LABELS         GIVEN is not read
    recorded    where people looked at this very image                    SALICON's JSON of 2015
    masks       where its objects are                                     a folder of PNG files
    contracam   what tells it from others, to a contrastive encoder       the encoder's weights

Maps are of the size of the teacher's. Where a source has no points, they are pseudo fixations of
the map. The section `label_images` has the parameters of both.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Integer
from pydantic import Field
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from attnlabels.datasets.density import Count, centre_prior
from attnlabels.datasets.human_maps import draw_map
from attnlabels.datasets.images import resize
from attnlabels.datasets.labelled_squares import Sampled, Squares
from attnlabels.datasets.salicon import read_json
from attnlabels.datasets.shards import Sample, Shards, write_shards
from attnlabels.models.contracam import contracam, queries
from attnlabels.models.encoder import Encoder
from attnlabels.models.files import load_weights, read_config
from attnlabels.models.projector import projector
from attnlabels.models.pseudo_fixations import pseudo_fixations
from attnlabels.params import check, load, read, record
from attnlabels.report import replacing
from attnlabels.script import run
from attnlabels.training.loading import as_input, start_worker

Amount = Annotated[int, Field(gt=0)]
Length = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0)]
Pixels = Literal["shares", "classes"]
Expand = Literal[1, 2, 4]


@record
class RelabelImages:
    source: str
    given: str  # handed to this script by dvc.yaml, which watches it
    missing: Literal["stop", "skip"]  # at an image of which the source knows nothing
    options: dict[str, Any]  # the source's own


@record
class AsTheTeacher:
    """What labels of every source have in common with the teacher's: keys of `label_images`."""

    map_size: Amount
    sigma_px: Length
    sigma_width: Amount
    threshold: Annotated[float, Field(gt=0, le=1)]
    maximum_points: Amount


@record
class NoOptions:
    pass


@record
class ShuffledOptions:
    seed: Seed


@record
class RecordedOptions:
    count: Count
    sigma_px: Length  # at the width sigma_width; scaled to the image's
    sigma_width: Amount


@record
class MasksOptions:
    pixels: Pixels


@record
class ContracamOptions:
    seed: Seed  # of which images are told from each other
    batch_size: Annotated[int, Field(ge=2)]
    expand: Expand  # how many times as many cells a side
    workers: Annotated[int, Field(ge=0)]


class Label(NamedTuple):
    """A map and, unless they are to be found in it, the points that belong to it."""

    map: Float[np.ndarray, "h w"]
    points: Integer[np.ndarray, "n 2"] | None = None  # (row, col) from 0 on `grid`
    observers: Integer[np.ndarray, "n"] | None = None
    grid: tuple[int, int] | None = None  # height, width


class Unknown(ValueError):
    """An image of which a source knows nothing."""


Draw = Callable[[int, Sample], Label]  # of a sample and its number; raises Unknown


def main(name: str, labels: Path, given: Path, out: Path) -> None:
    where = f"params.yaml: relabel_images.{name}"
    p = load(RelabelImages, "relabel_images", name)
    if p.source not in SOURCES:
        raise ValueError(f"{where}.source is {p.source!r}; expected one of {', '.join(SOURCES)}")
    source, teachers = SOURCES[p.source], load_teachers()
    options = vars(check(source.options, p.options, where=f"{where}.options"))
    shards = Shards(labels)
    draw = source.draw(shards, given, size=teachers.map_size, **options)
    skipped = list(shards.index["skipped"])

    def samples() -> Iterator[Sample]:
        for i in tqdm(range(len(shards)), desc=name, disable=None):
            sample = shards[i]
            try:
                label = with_points(draw(i, sample), teachers)
            except Unknown as unknown:
                if p.missing == "stop":
                    raise ValueError(
                        f"{sample['name']}: {unknown}; complete {given}, or set "
                        f"relabel_images.{name}.missing to skip"
                    ) from unknown
                skipped.append(sample["name"])
                continue
            yield relabelled(sample, label, source=p.source)

    with replacing(out) as aside:
        write_shards(
            aside,
            samples(),
            maximum_count=max(each["count"] for each in shards.index["shards"]),
            maps_by={"kind": source.kind, "given": p.given, **options},
            classes=shards.classes,
            skipped=skipped,
        )
    left_out = len(skipped) - len(shards.index["skipped"])
    print(f"{name}: {len(shards) - left_out} images, {left_out} left out")


def load_teachers() -> AsTheTeacher:
    section = read().get("label_images", {})
    known = {key: value for key, value in section.items() if key in AsTheTeacher.__annotations__}
    return check(AsTheTeacher, known, where="params.yaml: label_images")


def with_points(label: Label, p: AsTheTeacher) -> Label:
    """The label with pseudo fixations, if it has no points of its own."""
    if label.points is not None:
        return label
    h, w = label.map.shape
    points, counts = pseudo_fixations(
        torch.from_numpy(label.map).unsqueeze(0),
        sigma_px=p.sigma_px * w / p.sigma_width,
        threshold=p.threshold,
        maximum=p.maximum_points,
    )
    if not counts.item():
        raise Unknown("its map is the same everywhere")
    return label._replace(points=points[0, : counts.item()].numpy(), grid=(h, w))


def relabelled(sample: Sample, label: Label, *, source: str) -> Sample:
    assert label.points is not None and label.grid is not None
    return Sample(
        key=sample["key"], image=sample["image"], map=label.map, points=label.points,
        observers=label.observers, label=sample["label"], grid=label.grid,
        image_size=sample["image_size"], source=source, name=sample["name"],
    )


def draw_centre(labels: Shards, given: Path, *, size: int) -> Draw:
    """The same map for every image, of no knowledge but that photographs have a middle."""
    prior = centre_prior(size, size)
    return lambda i, sample: Label(prior)


def draw_shuffled(labels: Shards, given: Path, *, size: int, seed: int) -> Draw:
    """Maps as people's or a teacher's are, but none of its own image: one circle through all."""
    if len(labels) < 2:
        raise ValueError(f"{labels.folder}: holds 1 image, and no other whose map it could get")
    circle = np.random.default_rng(seed).permutation(len(labels))
    other = np.empty_like(circle)
    other[circle] = np.roll(circle, 1)

    def draw(i: int, sample: Sample) -> Label:
        donor = labels[other[i].item()]
        return Label(donor["map"], donor["points"], donor["observers"], donor["grid"])

    return draw


def draw_recorded(
    labels: Shards, given: Path, *, size: int, count: Count, sigma_px: float, sigma_width: int
) -> Draw:
    """The density of people's points as `prepare_attention` draws it, and these points."""
    recordings = {each.name: each for each in read_json(given)}

    def draw(i: int, sample: Sample) -> Label:
        recording = recordings.get(sample["name"])
        if recording is None or not len(recording.points):
            raise Unknown("nobody's attention to it was recorded")
        grid = (recording.height, recording.width)
        require_size(grid, sample, given)
        map = draw_map(recording, sigma_px=sigma_px, sigma_width=sigma_width, count=count)
        map = resize(map, size, size).clip(min=0)
        return Label(map, recording.points, recording.observers, grid)

    return draw


def draw_masks(labels: Shards, given: Path, *, size: int, pixels: Pixels) -> Draw:
    """What of an image's cells is objects. A mask is `<folders>/<stem>.png` below `given`.

    Its `pixels` are shares of objects, up to the mask's brightest grey, or classes, with 0 for what
    is no object, as VOC and COCO have them.
    """
    if not given.is_dir():
        raise FileNotFoundError(f"{given}: no such folder; put the masks there")

    def draw(i: int, sample: Sample) -> Label:
        path = given / Path(sample["name"]).with_suffix(".png")
        if not path.is_file():
            raise Unknown(f"it has no mask {path}")
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
        if grey is None:
            raise ValueError(f"{path}: not a readable PNG; fetch it again")
        require_size(grey.shape, sample, path)
        shares = grey if pixels == "shares" else grey > 0
        return Label(resize(shares.astype(np.float32), size, size).clip(min=0))

    return draw


def require_size(size: tuple[int, ...], sample: Sample, where: Path) -> None:
    if size != sample["image_size"]:
        h, w = sample["image_size"]
        raise ValueError(
            f"{where}: {sample['name']} has {size[0]} x {size[1]} pixels (height x width) there "
            f"and {h} x {w} as it was labelled; take what belongs to these very images"
        )


def draw_contracam(
    labels: Shards, given: Path, *, size: int, seed: int, batch_size: int, expand: Expand,
    workers: int,
) -> Draw:
    """ContraCAM's maps, each image told from those of a batch, enlarged and stretched to 0..1.

    So does alinlab/object-aware-contrastive utils/gradcam.py; but batches are drawn from all of
    the set, since images in its order are of one class. The maps of all images are held at the
    encoder's resolution: of ImageNet's 250 MB at 7 x 7, and `expand` squared times as much.
    """
    n = len(labels)
    if n < 2:
        raise ValueError(f"{labels.folder}: holds 1 image, and no other that it is told from")
    config = read_config(given, "encoder", "projector", "image_size")
    encoder = Encoder(**config["encoder"])
    head = projector(encoder.n_features, **config["projector"])
    load_weights(given, encoder, prefix="encoder.")
    load_weights(given, head, prefix="projector.")
    widen(encoder, expand)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.eval().to(device).to(memory_format=torch.channels_last)
    head.eval().to(device)
    order = np.random.default_rng(seed).permutation(n)
    batches = np.array_split(order, max(1, n // batch_size))  # none smaller than is asked for
    loader: DataLoader[Any] = DataLoader(
        Squares(
            Sampled(labels, np.arange(n)), labels.labels, size=config["image_size"], crop=1.0
        ),
        batch_sampler=[batch.tolist() for batch in batches],
        num_workers=workers,
        worker_init_fn=start_worker,
    )
    maps = []
    with torch.no_grad():
        for images, _ in tqdm(loader, desc="contracam", disable=None):
            stage = encoder(as_input(images.to(device))).last
            keys = queries(stage, head)
            found = contracam(stage, head, negatives=keys, own=slice(None), second_order=False)
            maps.append(found.cpu().numpy())
    place = np.argsort(order)
    in_batches = np.concatenate(maps)
    if not np.isfinite(in_batches).all():
        raise ValueError(f"{given}: the encoder's maps are not finite; train it again")

    def draw(i: int, sample: Sample) -> Label:
        map = resize(in_batches[place[i]], size, size)
        low, high = map.min(), map.max()
        if low == high:
            raise Unknown("nothing tells it from other images")
        return Label((map - low) / (high - low))

    return draw


def widen(encoder: Encoder, expand: Expand) -> None:
    """Let the last stage, or the last two, not shrink their maps: the code's `expand_res`."""
    for stage in {1: [], 2: [encoder.layer4], 4: [encoder.layer3, encoder.layer4]}[expand]:
        for each in stage[0].modules():
            if isinstance(each, nn.Conv2d):
                each.stride = (1, 1)


class Source(NamedTuple):
    """`draw` is called once, with the labels, what is given, the maps' size and the options."""

    kind: str  # of maps, as shards have it
    options: type
    draw: Callable[..., Draw]


SOURCES = {
    "centre": Source("centre", NoOptions, draw_centre),
    "shuffled": Source("shuffled", ShuffledOptions, draw_shuffled),
    "recorded": Source("human", RecordedOptions, draw_recorded),
    "masks": Source("masks", MasksOptions, draw_masks),
    "contracam": Source("contracam", ContracamOptions, draw_contracam),
}


if __name__ == "__main__":
    run(main)
