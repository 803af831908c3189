"""Read where people looked: SALICON's two editions and OSIE's eye fixations.

SALICON (Jiang et al., CVPR 2015): in 2015 one JSON file, COCO-like, with points [row, col]; in
2017 a MAT file an image, with points (x, y) and both mouse samples and fixations found in them.
OSIE (Xu et al., Journal of Vision 2014): one MAT file of all images. All count from 1.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

OSIE_SIZE = (600, 800)  # of every image: Xu et al. 2014, section "Stimuli"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Where people looked in one image."""

    name: str  # the image's file name
    height: int
    width: int
    points: Int[np.ndarray, "n 2"]  # (row, col) from 0, inside the image
    observers: Int[np.ndarray, "n"]  # who made each point
    n_clipped: int = 0  # points moved to the border, where the format has some outside


def read_json(path: Path) -> list[Recording]:
    """The recordings of SALICON's 2015 JSON, in the order of its `images`.

    Refuses an image without annotations, an annotation of no image or without `fixations`, and
    a point outside its image.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no annotation file here; put SALICON's JSON there")
    try:
        # Points become arrays as each annotation is read: as lists, 70 million take 10 GB.
        tree = json.loads(path.read_bytes(), object_hook=_compact)
    except ValueError as error:
        raise ValueError(f"{path}: not SALICON's JSON ({error}); fetch it again") from error
    for key in ("images", "annotations"):
        if not isinstance(tree, dict) or key not in tree:
            raise ValueError(f"{path}: has no `{key}`; expected SALICON's fixations_*.json")
    images = _by_id(tree["images"], path)
    parts: dict[int, list[Mapping[str, Any]]] = {id: [] for id in images}
    for annotation in tree["annotations"]:
        _require_annotation(annotation, images, path)
        parts[annotation["image_id"]].append(annotation)
    return [_join(image, parts[id], path) for id, image in images.items()]


def read_mat(folder: Path, *, points: Literal["fixations", "location"]) -> list[Recording]:
    """The recordings of SALICON's 2017 MAT files, by file name; `a.mat` belongs to `a.jpg`.

    Raw mouse samples (`location`) may lie outside the image and are moved to its border; a
    fixation there is an error.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; put SALICON's MAT files there")
    paths = sorted(folder.glob("*.mat"))
    if not paths:
        raise ValueError(f"{folder}: no .mat file in it; expected one an image")
    return [_read_mat(path, points) for path in paths]


def read_osie(path: Path) -> list[Recording]:
    """The recordings of OSIE's `data/eye/fixations.mat`.

    As in the authors' computeFixationMaps.m, points are rounded and moved into the image.
    """
    recordings = []
    for cell in _load(path, "fixations").ravel():
        image = cell[0, 0]
        subjects = [subject[0, 0] for subject in image["subjects"].ravel()]
        xy = [np.stack([each["fix_x"].ravel(), each["fix_y"].ravel()], axis=1) for each in subjects]
        recordings.append(
            _from_xy(xy, name=str(image["img"][0]), size=OSIE_SIZE, clip=True, where=str(path))
        )
    return recordings


def _compact(node: dict[str, Any]) -> dict[str, Any]:
    if "fixations" not in node:
        return node
    lines = node["fixations"]
    try:
        points = np.array(lines) if lines != [] else np.zeros((0, 2), np.int32)
    except ValueError:  # lines of unequal length
        points = np.zeros(())
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iu":
        raise ValueError(
            f"annotation {node.get('id')} of image_id {node.get('image_id')}, worker_id "
            f"{node.get('worker_id')}: expected `fixations` as whole numbers [[row, col], ...]"
        )
    return node | {"fixations": points.astype(np.int32)}


def _by_id(images: Sequence[Mapping[str, Any]], path: Path) -> dict[int, Mapping[str, Any]]:
    table: dict[int, Mapping[str, Any]] = {}
    for image in images:
        missing = {"id", "file_name", "height", "width"} - image.keys()
        if missing:
            raise ValueError(f"{path}: image {dict(image)} has no {sorted(missing)}")
        if image["id"] in table:
            raise ValueError(f"{path}: two images have the id {image['id']}; remove one")
        table[image["id"]] = image
    return table


def _require_annotation(
    annotation: Mapping[str, Any], images: Mapping[int, Mapping[str, Any]], path: Path
) -> None:
    about = {key: value for key, value in annotation.items() if key != "fixations"}
    for key in ("fixations", "image_id", "worker_id"):
        if key not in annotation:
            raise ValueError(
                f"{path}: annotation {about} has no `{key}`; this is no list of fixations "
                "(COCO's captions and instances look alike): take SALICON's fixations_*.json"
            )
    if annotation["image_id"] not in images:
        raise ValueError(
            f"{path}: annotation {about} is of an image that `images` does not list; "
            "the file was cut or put together wrongly: fetch it again"
        )


def _join(
    image: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], path: Path
) -> Recording:
    name, size = image["file_name"], (image["height"], image["width"])
    if not annotations:
        raise ValueError(
            f"{path}: image {name} (id {image['id']}) has no annotation; take it from `images`, "
            "or take a file with fixations (the test set's are not published)"
        )
    workers = [annotation["worker_id"] for annotation in annotations]
    points = np.concatenate([annotation["fixations"] for annotation in annotations])
    lengths = [len(annotation["fixations"]) for annotation in annotations]
    observers = np.repeat(np.array(workers, np.int32), lengths)
    _require_inside(points, observers, name=name, size=size, where=str(path))
    return Recording(
        name=name, height=size[0], width=size[1], points=points - 1, observers=observers
    )


def _read_mat(path: Path, kind: Literal["fixations", "location"]) -> Recording:
    observers = _load(path, "gaze").ravel()
    size = _load(path, "resolution").ravel()
    if size.shape != (2,) or observers.dtype.names is None or kind not in observers.dtype.names:
        raise ValueError(
            f"{path}: expected `resolution` [height, width] and `gaze` with `{kind}`, found "
            f"{size.tolist()} and {observers.dtype.names}; take SALICON's files of 2017"
        )
    return _from_xy(
        [each[kind] for each in observers],
        name=f"{path.stem}.jpg",
        size=(int(size[0]), int(size[1])),
        clip=kind == "location",
        where=str(path),
    )


def _from_xy(
    xy: Sequence[np.ndarray], *, name: str, size: tuple[int, int], clip: bool, where: str
) -> Recording:
    # The numbers may be unsigned, where 0 - 1 is 65535: signed first.
    parts = [np.rint(np.asarray(each, np.float64).reshape(-1, 2)) for each in xy]
    observers = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    points = np.concatenate(parts).astype(np.int32)[:, ::-1]
    inside = points.clip((1, 1), size)
    n_clipped = int((inside != points).any(axis=1).sum())
    if not clip:
        _require_inside(points, observers, name=name, size=size, where=where)
    return Recording(
        name=name,
        height=size[0],
        width=size[1],
        points=inside - 1,
        observers=observers,
        n_clipped=n_clipped,
    )


def _load(path: Path, key: str) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no MAT file here; put the published one there")
    try:
        content = loadmat(path, variable_names=[key])
    except (MatReadError, NotImplementedError, OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: not a readable MAT file ({error}); fetch it again") from error
    if key not in content:
        raise ValueError(f"{path}: has no `{key}`; expected SALICON's or OSIE's published file")
    return content[key]


def _require_inside(
    points: np.ndarray, observers: np.ndarray, *, name: str, size: tuple[int, int], where: str
) -> None:
    """`points` are (row, col) from 1."""
    outside = ((points < 1) | (points > size)).any(axis=1)
    if not outside.any():
        return
    (row, col), worker = points[outside][0], observers[outside][0]
    hint = "mend or remove it"
    if points.min() == 0:
        hint = "0 occurs, so the points may count from 0; add 1"
    elif (points <= size[::-1]).all():
        hint = "with row and col exchanged all would fit; the file may hold (x, y)"
    raise ValueError(
        f"{where}: image {name}, worker {worker}: fixation (row {row}, col {col}) is outside "
        f"{size[0]} x {size[1]} (points count from 1); {hint}"
    )
