"""Draw a synthetic stand-in for every data set, in the layouts in which those are published.

    python src/make_scenes.py NAME OUT

NAME is a row of `make_scenes` in params.yaml. OUT gets

    imagenet/{train,val}/<class>/*.JPEG             one object; ImageNet's folders
    people/fixations_train.json                     mouse attention on imagenet/train
    masks/train/<class>/*.png                       objects of imagenet/train
    salicon/images, salicon/annotations/*.json      mouse attention; SALICON of 2015
    osie/images, osie/eye.json                      eye attention; the same JSON
    cifar-10-batches-py/                            other textures and hues; CIFAR-10's pickles
    README.txt                                      what this is and how it is made

The same row gives the same bytes again, with any number of workers.
"""

import inspect
import json
import multiprocessing
import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from pydantic import Field
from tqdm import tqdm

from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing
from attnlabels.scenes import observers, scenes
from attnlabels.scenes.observers import (
    attention_map,
    eye_fixations,
    fixation_durations,
    mouse_samples,
)
from attnlabels.scenes.scenes import SHAPES, TEXTURES, Scene, Style, draw_scene, scene_rng

CIFAR_SIDE = 32
CIFAR_BATCHES = 5
JPEG = [
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]

Item = TypeVar("Item")
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


@record
class Attention:  # mixture of attention: see attnlabels.scenes.observers
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
    def __call__(self, function: Callable[..., Item], split: str, n: int) -> Iterator[Item]: ...


@dataclass(frozen=True, kw_only=True)
class Watched:
    scene: Scene
    trails: list[Int[np.ndarray, "n 2"]]  # an observer's each: (row, col) from 1


def main(name: str, out: Path) -> None:
    p = load(MakeScenes, "make_scenes", name)
    for key, n in (("n_train", p.n_train), ("n_val", p.n_val)):
        if n % p.n_classes:
            raise ValueError(
                f"params.yaml: make_scenes.{name}.{key} is {n}, expected a multiple of n_classes "
                f"({p.n_classes}), so that classes are equally large"
            )
    style = Style(
        object_size=p.object_size,
        object_spread=p.object_spread,
        rotation_sd=p.rotation_sd,
        hue_jitter=p.hue_jitter,
        contrast=p.contrast,
        period=p.period,
        n_regions=p.n_regions,
        n_distractors=p.n_distractors,
        occlusion=p.occlusion,
        shortcut=p.shortcut,
        noise_sd=p.noise_sd,
        texture_shift=0,
        hue_shift=0.0,
    )
    shifted = replace(style, texture_shift=p.cifar_texture_shift, hue_shift=p.cifar_hue_shift)
    by_mouse = partial(
        mouse_samples,
        n_observers=p.mouse.n_observers,
        n_targets=p.mouse.n_targets,
        n_samples=p.mouse.n_samples,
        interest_sd=p.mouse.interest_sd,
    )
    by_eye = partial(
        eye_fixations,
        n_observers=p.eye.n_observers,
        n_fixations=p.eye.n_fixations,
        interest_sd=p.eye.interest_sd,
        error_px=p.eye.error_px,
    )
    of_imagenet = partial(classified, seed=p.seed, n_classes=p.n_classes, size=p.size, style=style)
    of_watched_imagenet = partial(
        watched_again,
        seed=p.seed,
        draw=of_imagenet,
        attend=attending(p.mouse.attention),
        observe=by_mouse,
    )
    of_cifar = partial(
        classified, seed=p.seed, n_classes=len(SHAPES), size=CIFAR_SIDE, style=shifted
    )
    wide = partial(
        draw_wide, n_classes=p.n_classes, size=p.size, two_objects=p.two_objects, style=style
    )
    of_salicon = partial(
        watched, seed=p.seed, draw=wide, attend=attending(p.mouse.attention), observe=by_mouse
    )
    of_osie = partial(
        watched, seed=p.seed, draw=wide, attend=attending(p.eye.attention), observe=by_eye
    )
    n_batch = p.n_cifar_train // CIFAR_BATCHES

    with replacing(out) as folder, mapping(p.workers) as drawn:
        write_watched_imagenet(folder, drawn(of_watched_imagenet, "imagenet train", p.n_train))
        write_imagenet(folder / "imagenet" / "val", drawn(of_imagenet, "imagenet val", p.n_val))
        for split, n in (("train", p.n_attention_train), ("val", p.n_attention_val)):
            write_salicon(folder / "salicon", split, drawn(of_salicon, f"salicon {split}", n))
        durations = scene_rng(p.seed, "durations", index=0)
        write_osie(folder / "osie", drawn(of_osie, "osie", p.n_eye), durations)
        cifar = folder / "cifar-10-batches-py"
        for k in range(1, CIFAR_BATCHES + 1):
            batch = drawn(of_cifar, f"cifar train {k}", n_batch)
            write_batch(cifar / f"data_batch_{k}", f"training batch {k} of {CIFAR_BATCHES}", batch)
        batch = drawn(of_cifar, "cifar test", p.n_cifar_test)
        write_batch(cifar / "test_batch", "testing batch 1 of 1", batch)
        write_pickle(
            cifar / "batches.meta",
            {
                "num_cases_per_batch": n_batch,
                "label_names": list(SHAPES),
                "num_vis": 3 * CIFAR_SIDE**2,
            },
        )
        (folder / "README.txt").write_text(readme(name))


@contextmanager
def mapping(workers: int) -> Iterator[Mapper]:
    """Calls `function(index, split=split)` for `n` indices, in order, on so many processes."""

    def serial(function: Callable[..., Item], split: str, n: int) -> Iterator[Item]:
        return map(partial(function, split=split), tqdm(range(n), desc=split, disable=None))

    def parallel(function: Callable[..., Item], split: str, n: int) -> Iterator[Item]:
        results = pool.map(partial(function, split=split), range(n), chunksize=32)
        return iter(tqdm(results, desc=split, total=n, disable=None))

    if workers == 1:
        yield serial
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield parallel


def attending(mixture: Attention) -> Callable[..., Float[np.ndarray, "h w"]]:
    return partial(
        attention_map,
        object_weight=mixture.object_weight,
        contrast_weight=mixture.contrast_weight,
        centre_weight=mixture.centre_weight,
        centre_sigma=mixture.centre_sigma,
    )


def classified(
    index: int,
    *,
    split: str,
    seed: int,
    n_classes: int,
    size: int,
    style: Style,
) -> Scene:
    """A square scene with one object; indices take the classes in turn."""
    rng = scene_rng(seed, split, index=index)
    return draw_scene(rng, [index % n_classes], height=size, width=size, style=style)


def draw_wide(
    rng: np.random.Generator,
    *,
    n_classes: int,
    size: int,
    two_objects: float,
    style: Style,
) -> Scene:
    """A 4:3 scene, as SALICON's and OSIE's, with one or two objects of different classes."""
    n = 2 if rng.random() < two_objects else 1
    labels = rng.permutation(n_classes)[:n].tolist()
    return draw_scene(rng, labels, height=size, width=4 * size // 3, style=style)


def watched(
    index: int,
    *,
    split: str,
    seed: int,
    draw: Callable[..., Scene],
    attend: Callable[..., Float[np.ndarray, "h w"]],
    observe: Callable[..., list[Int[np.ndarray, "n 2"]]],
) -> Watched:
    rng = scene_rng(seed, split, index=index)
    scene = draw(rng)
    return Watched(scene=scene, trails=observe(rng, attend(scene.image, scene.mask)))


def watched_again(
    index: int,
    *,
    split: str,
    seed: int,
    draw: Callable[..., Scene],
    attend: Callable[..., Float[np.ndarray, "h w"]],
    observe: Callable[..., list[Int[np.ndarray, "n 2"]]],
) -> Watched:
    """A scene as `draw` has it without observers, with observers of a generator of their own."""
    scene, rng = draw(index, split=split), scene_rng(seed, f"people on {split}", index=index)
    return Watched(scene=scene, trails=observe(rng, attend(scene.image, scene.mask)))


def write_imagenet(folder: Path, results: Iterable[Scene]) -> None:
    """Folders and file names as those of ImageNet's validation set."""
    for number, scene in enumerate(results, 1):
        write_jpeg(folder / wnid(scene) / f"ILSVRC2012_val_{number:08d}.JPEG", scene.image)


def write_watched_imagenet(folder: Path, results: Iterable[Watched]) -> None:
    """Folders and file names as those of ImageNet's training set.

    Recordings and masks are apart from the images, which a reader of class folders takes all.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, seen in enumerate(results, 1):
        stem = f"{wnid(seen.scene)}/{wnid(seen.scene)}_{number}"
        write_jpeg(folder / "imagenet" / "train" / f"{stem}.JPEG", seen.scene.image)
        write_mask(folder / "masks" / "train" / f"{stem}.png", seen.scene.mask)
        images.append(image_entry(number, f"{stem}.JPEG", seen.scene.image))
        annotations += annotation_entries(number, seen.trails, before=len(annotations))
    write_annotations(folder / "people" / "fixations_train.json", images, annotations)


def wnid(scene: Scene) -> str:
    """The folder of a class: n00000001 is the first's."""
    return f"n{scene.labels[0] + 1:08d}"


def write_salicon(folder: Path, split: str, results: Iterable[Watched]) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, seen in enumerate(results, 1):
        name = f"COCO_{split}2014_{number:012d}.jpg"
        write_jpeg(folder / "images" / split / name, seen.scene.image)
        images.append(image_entry(number, name, seen.scene.image))
        annotations += annotation_entries(number, seen.trails, before=len(annotations))
    path = folder / "annotations" / f"fixations_{split}2014.json"
    write_annotations(path, images, annotations)


def write_osie(folder: Path, results: Iterable[Watched], rng: np.random.Generator) -> None:
    """Images are numbered from 1001 and `durations` is an extra key, in milliseconds."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, seen in enumerate(results, 1001):
        name = f"{number}.jpg"
        write_jpeg(folder / "images" / name, seen.scene.image)
        images.append(image_entry(number, name, seen.scene.image))
        annotations += [
            each | {"durations": fixation_durations(rng, len(each["fixations"]))}
            for each in annotation_entries(number, seen.trails, before=len(annotations))
        ]
    write_annotations(folder / "eye.json", images, annotations)


def image_entry(number: int, name: str, image: UInt8[np.ndarray, "h w 3"]) -> dict[str, Any]:
    height, width = image.shape[:2]
    return {"id": number, "file_name": name, "width": width, "height": height, "license": 1}


def annotation_entries(
    image_id: int,
    trails: list[Int[np.ndarray, "n 2"]],
    *,
    before: int,
) -> list[dict[str, Any]]:
    """An entry an observer of one image, numbered from `before` + 1."""
    return [
        {
            "id": before + worker,
            "image_id": image_id,
            "worker_id": worker,
            "fixations": trail.tolist(),
        }
        for worker, trail in enumerate(trails, 1)
    ]


def write_annotations(
    path: Path,
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
) -> None:
    """SALICON's JSON of 2015, which is COCO's; an annotation is one observer on one image."""
    tree = {
        "info": {"description": "Synthetic scenes with simulated attention", "version": "1.0"},
        "images": images,
        "licenses": [{"id": 1, "name": "synthetic: see README.txt", "url": ""}],
        "type": "fixations",
        "annotations": annotations,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(tree, separators=(",", ":")))


def write_batch(path: Path, title: str, results: Iterable[Scene]) -> None:
    """One of CIFAR-10's files: a row is 1,024 red values, then green, then blue."""
    drawn = list(results)
    labels = [scene.labels[0] for scene in drawn]
    planes = np.stack([scene.image.transpose(2, 0, 1) for scene in drawn])
    write_pickle(
        path,
        {
            "batch_label": title,
            "labels": labels,
            "data": planes.reshape(len(drawn), -1),
            "filenames": [f"{SHAPES[label]}_s_{i:06d}.png" for i, label in enumerate(labels, 1)],
        },
    )


def write_pickle(path: Path, tree: dict[str, Any]) -> None:
    """Protocol 2 as CIFAR-10's; keys are text, as `encoding="latin1"` reads the originals."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(tree, protocol=2))


def write_jpeg(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), JPEG)
    path.write_bytes(data.tobytes())


def write_mask(path: Path, mask: Float[np.ndarray, "h w"]) -> None:
    """8-bit grey: the visible share of objects in a pixel, from 0 to 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".png", np.rint(255 * mask).astype(np.uint8))
    path.write_bytes(data.tobytes())


def readme(name: str) -> str:
    return f"""Synthetic data: no photograph and no person had a part in it.

Drawn by src/make_scenes.py from the row {name!r} of make_scenes in params.yaml. Folders and
files have the layouts of ImageNet, SALICON (2015), OSIE (in SALICON's JSON) and CIFAR-10, so that
the readers of those data sets read these. Their official checksums do not apply.

Pictures (src/attnlabels/scenes/scenes.py)

{inspect.getdoc(scenes)}

Classes, in the order of their labels: {", ".join(SHAPES)}.
Their texture families: {", ".join(TEXTURES)}.
The CIFAR-like set has all ten classes, with texture families and hues shifted by
cifar_texture_shift and cifar_hue_shift; the others have the first n_classes.

Attention (src/attnlabels/scenes/observers.py)

{inspect.getdoc(observers)}

salicon/ is by mouse, osie/ by eye, with weights a, b, g and the number of observers in the row's
`mouse` and `eye`. Durations of fixations are drawn apart and carry no information.

Of the images in imagenet/train too it is known where people look and where the object is, for
comparison with labels that a teacher made: people/fixations_train.json is by mouse, in SALICON's
JSON with the file's path below imagenet/train as its name, and masks/train/<class>/<stem>.png is
M above, 255 where a pixel is all object. Nothing that learns to label images may read them.
"""


if __name__ == "__main__":
    run(main)
