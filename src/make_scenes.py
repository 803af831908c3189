"""Draw a synthetic stand-in for every data set, in the layouts in which those are published.

    python src/make_scenes.py NAME OUT

NAME is a row of `make_scenes` in params.yaml. OUT gets

    imagenet/{train,val}/<class>/*.JPEG             one object; ImageNet's folders
    salicon/images, salicon/annotations/*.json      mouse attention; SALICON of 2015
    osie/images, osie/eye.json                      eye attention; the same JSON
    cifar-10-batches-py/                            other textures and hues; CIFAR-10's pickles
    README.txt                                      what this is and how it is made

The same row gives the same bytes, with any number of workers.
"""

import inspect
import json
import multiprocessing
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol

import cv2
import numpy as np
from jaxtyping import UInt8
from pydantic import Field
from tqdm import tqdm

from attnlabels.datasets import observers
from attnlabels.datasets.observers import (
    attention_map, eye_fixations, fixation_durations, mouse_samples,
)
from attnlabels.datasets.scenes import SHAPES, Scene, Style, draw_scene, scene_rng
from attnlabels.params import load, record
from attnlabels.report import replacing
from attnlabels.script import run

CIFAR_SIDE = 32
CIFAR_BATCHES = 5
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


@record
class Attention:      # mixture of attention: see attnlabels.datasets.observers
    object_weight: Share
    contrast_weight: Share
    centre_weight: Share
    centre_sigma: Annotated[float, Field(gt=0)]


@record
class Mouse:
    attention: Attention
    n_observers: Count
    n_targets: Count
    n_samples: Count
    interest_sd: Amount


@record
class Eye:
    attention: Attention
    n_observers: Count
    n_fixations: Annotated[float, Field(ge=2)]
    interest_sd: Amount
    error_px: Amount


@record
class MakeScenes:
    seed: Annotated[int, Field(ge=0)]
    workers: Count
    size: Annotated[int, Field(ge=16)]
    n_classes: Annotated[int, Field(ge=2, le=len(SHAPES))]
    n_train: Count
    n_val: Count
    n_cifar_train: Annotated[int, Field(ge=1, multiple_of=CIFAR_BATCHES * len(SHAPES))]
    n_cifar_test: Annotated[int, Field(ge=1, multiple_of=len(SHAPES))]
    n_attention_train: Count
    n_attention_val: Count
    n_eye: Count
    two_objects: Share
    object_size: tuple[float, float]
    object_spread: Amount
    rotation_sd: Amount
    hue_jitter: Amount
    contrast: Amount
    period: tuple[float, float]
    n_regions: tuple[int, int]
    n_distractors: tuple[int, int]
    occlusion: Share
    shortcut: Share
    noise_sd: Amount
    cifar_texture_shift: int
    cifar_hue_shift: float
    mouse: Mouse
    eye: Eye


class Mapper(Protocol):
    def __call__(self, function: Any, items: Sequence[Any], title: str) -> Iterator[Any]: ...


def main(name: str, out: Path) -> None:
    p = load(MakeScenes, "make_scenes", name)
    for key in ("n_train", "n_val"):
        if getattr(p, key) % p.n_classes:
            raise ValueError(
                f"params.yaml: make_scenes.{name}.{key} is {getattr(p, key)}, expected a "
                f"multiple of n_classes ({p.n_classes}), so that classes are equally large"
            )
    style = Style(
        object_size=p.object_size, object_spread=p.object_spread, rotation_sd=p.rotation_sd,
        hue_jitter=p.hue_jitter, contrast=p.contrast, period=p.period, n_regions=p.n_regions,
        n_distractors=p.n_distractors, occlusion=p.occlusion, shortcut=p.shortcut,
        noise_sd=p.noise_sd,
    )
    transfer = replace(style, texture_shift=p.cifar_texture_shift, hue_shift=p.cifar_hue_shift)
    with replacing(out) as folder, mapping(p.workers) as mapper:
        folder.mkdir()
        for split, n in (("train", p.n_train), ("val", p.n_val)):
            write_imagenet(folder / "imagenet", split, n, p=p, style=style, mapper=mapper)
        for split, n in (("train", p.n_attention_train), ("val", p.n_attention_val)):
            write_salicon(folder / "salicon", split, n, p=p, style=style, mapper=mapper)
        write_osie(folder / "osie", p=p, style=style, mapper=mapper)
        write_cifar(folder / "cifar-10-batches-py", p=p, style=transfer, mapper=mapper)
        (folder / "README.txt").write_text(readme(name))


@contextmanager
def mapping(workers: int) -> Iterator[Mapper]:
    """A `map` with a progress bar, in order, on so many processes."""
    if workers == 1:
        yield lambda function, items, title: map(
            function, tqdm(items, desc=title, disable=None))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield lambda function, items, title: iter(tqdm(
            pool.map(function, items, chunksize=32), desc=title, total=len(items), disable=None))


def write_imagenet(
    folder: Path, split: str, n: int, *, p: MakeScenes, style: Style, mapper: Mapper,
) -> None:
    """Class k is folder n0000000<k + 1>; images in turn belong to one class after the other."""
    for label in range(p.n_classes):
        (folder / split / wnid(label)).mkdir(parents=True)
    draw = partial(
        classified, seed=p.seed, split=f"imagenet {split}", n_classes=p.n_classes, size=p.size,
        style=style,
    )
    for index, scene in enumerate(mapper(draw, range(n), f"imagenet {split}")):
        number = f"{wnid(scene.labels[0])}_{index + 1}"
        if split == "val":
            number = f"ILSVRC2012_val_{index + 1:08d}"
        path = folder / split / wnid(scene.labels[0]) / f"{number}.JPEG"
        path.write_bytes(jpeg(scene.image))


def wnid(label: int) -> str:
    return f"n{label + 1:08d}"


def classified(
    index: int, *, seed: int, split: str, n_classes: int, size: int, style: Style,
) -> Scene:
    rng = scene_rng(seed, split, index)
    return draw_scene(rng, [index % n_classes], height=size, width=size, style=style)


def write_salicon(
    folder: Path, split: str, n: int, *, p: MakeScenes, style: Style, mapper: Mapper,
) -> None:
    images = folder / "images" / split
    images.mkdir(parents=True)
    (folder / "annotations").mkdir(exist_ok=True)
    watch = partial(moused, p=p, split=f"salicon {split}", style=style)
    files, trails = [], []
    for index, (image, trail) in enumerate(mapper(watch, range(n), f"salicon {split}")):
        files.append(f"COCO_{split}2014_{index + 1:012d}.jpg")
        (images / files[-1]).write_bytes(jpeg(image))
        trails.append(trail)
    tree = annotations(files, range(1, n + 1), trails, height=p.size, width=wide(p.size))
    path = folder / "annotations" / f"fixations_{split}2014.json"
    path.write_text(json.dumps(tree, separators=(",", ":")))


def moused(index: int, *, p: MakeScenes, split: str, style: Style) -> tuple[Any, Any]:
    rng = scene_rng(p.seed, split, index)
    scene = viewed(rng, p, style)
    trails = mouse_samples(
        rng, attended(scene, p.mouse.attention), n_observers=p.mouse.n_observers,
        n_targets=p.mouse.n_targets, n_samples=p.mouse.n_samples,
        interest_sd=p.mouse.interest_sd,
    )
    return scene.image, trails


def write_osie(folder: Path, *, p: MakeScenes, style: Style, mapper: Mapper) -> None:
    """OSIE's images are numbered from 1001."""
    (folder / "images").mkdir(parents=True)
    files, trails, durations = [], [], []
    results = mapper(partial(eyed, p=p, style=style), range(p.n_eye), "osie")
    for number, (image, trail, lasted) in enumerate(results, 1001):
        files.append(f"{number}.jpg")
        (folder / "images" / files[-1]).write_bytes(jpeg(image))
        trails.append(trail)
        durations += lasted
    numbers = range(1001, 1001 + p.n_eye)
    tree = annotations(files, numbers, trails, height=p.size, width=wide(p.size))
    for annotation, lasted in zip(tree["annotations"], durations):
        annotation["durations"] = lasted
    (folder / "eye.json").write_text(json.dumps(tree, separators=(",", ":")))


def eyed(index: int, *, p: MakeScenes, style: Style) -> tuple[Any, Any, Any]:
    rng = scene_rng(p.seed, "osie", index)
    scene = viewed(rng, p, style)
    trails = eye_fixations(
        rng, attended(scene, p.eye.attention), n_observers=p.eye.n_observers,
        n_fixations=p.eye.n_fixations, interest_sd=p.eye.interest_sd, error_px=p.eye.error_px,
    )
    return scene.image, trails, [fixation_durations(rng, len(trail)) for trail in trails]


def viewed(rng: np.random.Generator, p: MakeScenes, style: Style) -> Scene:
    """A 4:3 scene, as SALICON's and OSIE's, with one or two objects of any class."""
    n = 2 if rng.random() < p.two_objects else 1
    labels = [int(each) for each in rng.permutation(p.n_classes)[:n]]
    return draw_scene(rng, labels, height=p.size, width=wide(p.size), style=style)


def wide(size: int) -> int:
    return 4 * size // 3


def attended(scene: Scene, attention: Attention) -> Any:
    return attention_map(
        scene.image, scene.mask, object_weight=attention.object_weight,
        contrast_weight=attention.contrast_weight, centre_weight=attention.centre_weight,
        centre_sigma=attention.centre_sigma,
    )


def annotations(
    files: Sequence[str], ids: Sequence[int], trails: Sequence[Any], *, height: int, width: int,
) -> dict[str, Any]:
    """SALICON's JSON of 2015: one annotation is one observer's points on one image."""
    rows = [
        (image_id, worker, trail.tolist())
        for image_id, of_image in zip(ids, trails) for worker, trail in enumerate(of_image, 1)
    ]
    return {
        "info": {"description": "Synthetic scenes, simulated attention", "version": "1.0"},
        "images": [
            {"id": image_id, "file_name": name, "width": width, "height": height, "license": 1}
            for image_id, name in zip(ids, files)
        ],
        "licenses": [{"id": 1, "name": "of the program that drew them", "url": ""}],
        "type": "fixations",
        "annotations": [
            {"id": number, "image_id": image_id, "worker_id": worker, "fixations": points}
            for number, (image_id, worker, points) in enumerate(rows, 1)
        ],
    }


def write_cifar(folder: Path, *, p: MakeScenes, style: Style, mapper: Mapper) -> None:
    """Pickles with CIFAR-10's keys; all ten classes, equally often in each file."""
    folder.mkdir()
    n = p.n_cifar_train // CIFAR_BATCHES
    names = [f"data_batch_{number}" for number in range(1, CIFAR_BATCHES + 1)]
    for number, name in enumerate(names, 1):
        title = f"training batch {number} of {CIFAR_BATCHES}"
        write_batch(folder / name, n, title, p=p, style=style, mapper=mapper)
    title = "testing batch 1 of 1"
    write_batch(folder / "test_batch", p.n_cifar_test, title, p=p, style=style, mapper=mapper)
    meta = {"num_cases_per_batch": n, "label_names": list(SHAPES), "num_vis": 3 * CIFAR_SIDE ** 2}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))


def write_batch(
    path: Path, n: int, title: str, *, p: MakeScenes, style: Style, mapper: Mapper,
) -> None:
    draw = partial(
        classified, seed=p.seed, split=f"cifar {path.name}", n_classes=len(SHAPES),
        size=CIFAR_SIDE, style=style,
    )
    scenes = list(mapper(draw, range(n), f"cifar {path.name}"))
    labels = [scene.labels[0] for scene in scenes]
    images: UInt8[np.ndarray, "n h w 3"] = np.stack([scene.image for scene in scenes])
    batch = {
        "batch_label": title,
        "labels": labels,
        "data": np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(n, -1),
        "filenames": [f"{SHAPES[label]}_s_{i:06d}.png" for i, label in enumerate(labels)],
    }
    path.write_bytes(pickle.dumps(batch, protocol=2))


def jpeg(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    done, data = cv2.imencode(".jpg", image[..., ::-1], JPEG)
    assert done
    return data.tobytes()


def readme(name: str) -> str:
    return f"""Synthetic data: no photograph and no person had a part in it.

Drawn by src/make_scenes.py from the row {name!r} of make_scenes in params.yaml. Folders and
files have the layouts of ImageNet, SALICON (2015), OSIE (in SALICON's JSON) and CIFAR-10, so that
the readers of those data sets read these. Checksums of the originals do not apply.

A class is a shape, a texture family and a hue, in this order: {", ".join(SHAPES)}.
The CIFAR-like set has all of them, each with another class's texture family and another hue.

{inspect.getdoc(observers)}
"""


if __name__ == "__main__":
    run(main)
