"""Drawn scenes in the layouts of published data sets: ImageNet, SALICON, OSIE and CIFAR-10."""

import inspect
import json
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from attnlabels.scenes import observers, scenes
from attnlabels.scenes.observers import fixation_durations
from attnlabels.scenes.scenes import SHAPES, TEXTURES, Scene
from attnlabels.scenes.splits import Watched

CIFAR_SIDE = 32
CIFAR_BATCHES = 5
JPEG = [
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]


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
    """Images and annotations of a split as those of SALICON's release of 2015."""
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
    trails: list[Int[np.ndarray, "_ 2"]],
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


def write_cifar(
    folder: Path, draw: Callable[[str, int], Iterable[Scene]], *, n_train: int, n_test: int
) -> None:
    """CIFAR-10's folder: five batches to train on, one to test on, and what they hold.

    `draw` gives the scenes of a split, by its name and how many there are.
    """
    n_batch = n_train // CIFAR_BATCHES
    for k in range(1, CIFAR_BATCHES + 1):
        batch = draw(f"cifar train {k}", n_batch)
        write_batch(folder / f"data_batch_{k}", f"training batch {k} of {CIFAR_BATCHES}", batch)
    write_batch(folder / "test_batch", "testing batch 1 of 1", draw("cifar test", n_test))
    about = {
        "num_cases_per_batch": n_batch,
        "label_names": list(SHAPES),
        "num_vis": 3 * CIFAR_SIDE**2,
    }
    write_pickle(folder / "batches.meta", about)


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
    """What the data are, drawn from the row `name` of `make_scenes`; it quotes the models' docs."""
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
