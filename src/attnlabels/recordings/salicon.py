"""Read where people looked from SALICON's two editions (Jiang et al., CVPR 2015).

In 2015 one JSON file, COCO-like, with points [row, col]; in 2017 a MAT file an image, with points
(x, y) and both mouse samples and fixations found in them. All count from 1.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from attnlabels.files.pointers import refuse_pointer
from attnlabels.recordings.matlab import Value, as_list, list_mat, read_variables
from attnlabels.recordings.points import Outside, Recording, merge, place, plain_name

LARGEST = 2**31 - 1  # number of a worker or of a row; others are no pixels, and workers are renamed
LONGEST_SIDE = 10**6  # pixels


class Field(NamedTuple):
    """What a field of the JSON must hold."""

    expected: str
    fits: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


IDENTITY = Field(
    "a whole number or text", lambda value: _is_number(value) or isinstance(value, str)
)
LENGTH = Field("a number of pixels", lambda value: _is_number(value) and 0 < value <= LONGEST_SIDE)
NAME = Field("a file's name", lambda value: isinstance(value, str) and value != "")
LIST = Field("a list", lambda value: isinstance(value, list))
ARRAY = Field("points [[row, col], ...]", lambda value: isinstance(value, np.ndarray))
TREE = {"images": LIST, "annotations": LIST}
IMAGE = {"id": IDENTITY, "file_name": NAME, "height": LENGTH, "width": LENGTH}
ANNOTATION = {"fixations": ARRAY, "image_id": IDENTITY, "worker_id": IDENTITY}
EXPECTED = {
    "file": "expected SALICON's fixations_*.json",
    "image": "expected SALICON's fixations_*.json",
    "annotation": "this is no list of fixations (COCO's captions and instances look alike): take "
    "SALICON's fixations_*.json",
}


def read_json(path: Path, *, outside: Outside = "refuse") -> list[Recording]:
    """The recordings of SALICON's 2015 JSON, in the order of its `images`.

    A photograph that is listed twice has the points of both. Workers keep their numbers; if one has
    a name or a number above 2^31, all are numbered in the order they appear. A recording may have
    no points. Points outside of their image are treated as `outside` has it
    (`attnlabels.recordings.points.place`).

    Refuses what is not SALICON's layout: an image without annotations, an annotation of no image or
    without `fixations`, a field of another kind.
    """
    tree = _read_tree(path)
    images = _by_id(tree["images"], path)
    parts: dict[int | str, list[Mapping[str, Any]]] = {id: [] for id in images}
    for annotation in tree["annotations"]:
        _require(annotation, ANNOTATION, "annotation", path)
        if annotation["image_id"] not in images:
            raise ValueError(
                f"{path}: annotation {_about(annotation)} is of an image that `images` does not "
                "list; the file was cut or put together wrongly: fetch it again"
            )
        parts[annotation["image_id"]].append(annotation)
    numbers = _numbers(annotation["worker_id"] for annotation in tree["annotations"])
    return merge(
        [_of_image(image, parts[id], numbers, path, outside) for id, image in images.items()],
        key=str,
    )


def read_mat(
    folder: Path, *, points: Literal["fixations", "location"], outside: Outside = "refuse"
) -> list[Recording]:
    """The recordings of SALICON's 2017 MAT files, by file name; `a.mat` belongs to `a.jpg`.

    Raw mouse samples (`location`) may lie outside of the image in the published files, fixations
    do not; `outside` as in `read_json`.
    """
    paths = list_mat(folder, whose="SALICON's MAT files")
    return [_read_mat(path, points, outside) for path in paths]


def numbers_of(value: Value, *, what: str, path: Path) -> np.ndarray:
    """A variable of a MAT file as an array of float64; raises ValueError if it is none."""
    if isinstance(value, list) and not value:  # an empty cell
        return np.zeros((0, 0))
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        raise ValueError(f"{path}: {what} is no array of numbers; fetch the published file again")
    return value.astype(np.float64)


def points_of(value: Value, *, what: str, path: Path) -> np.ndarray:
    """A variable of a MAT file as [n 2] numbers; raises ValueError for another shape."""
    points = numbers_of(value, what=what, path=path)
    if not points.size:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        shape = " x ".join(map(str, points.shape))
        raise ValueError(
            f"{path}: {what} is {shape}; expected a row of two numbers for each point, and nothing "
            "else in it: remove what is no coordinate"
        )
    return points


def _read_tree(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no annotation file here; put SALICON's JSON there")
    refuse_pointer(path)
    try:
        # Points become arrays as each annotation is read: as lists, 70 million take 10 GB.
        tree = json.loads(path.read_bytes(), object_hook=_compact)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not SALICON's JSON ({error}); fetch it again") from error
    _require(tree, TREE, "file", path)
    return tree


def _compact(node: dict[str, Any]) -> dict[str, Any]:
    if "fixations" not in node:
        return node
    lines = node["fixations"]
    try:
        points = np.array(lines) if lines != [] else np.zeros((0, 2), np.int32)
    except (ValueError, OverflowError):  # lines of unequal length, numbers without end
        points = np.zeros(())
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iu":
        raise ValueError(
            f"annotation {_about(node)}: expected `fixations` as whole numbers [[row, col], ...]"
        )
    # Unsigned numbers know no negative bound; what is cut is outside of any image all the same.
    points = np.maximum(np.minimum(points, LARGEST).astype(np.int64), -LARGEST)
    return node | {"fixations": points.astype(np.int32)}


def _about(node: Mapping[str, Any]) -> str:
    """A node of the JSON without its points, short enough for a message."""
    text = repr({key: value for key, value in node.items() if key != "fixations"})
    return text if len(text) <= 200 else f"{text[:200]} ..."


def _require(node: Any, fields: Mapping[str, Field], what: str, path: Path) -> None:
    if not isinstance(node, dict):
        raise ValueError(f"{path}: {what} is a {type(node).__name__}; {EXPECTED[what]}")
    for name, field in fields.items():
        if name in node and field.fits(node[name]):
            continue
        about = f"{path}: " if what == "file" else f"{path}: {what} {_about(node)} "
        if name not in node:
            raise ValueError(f"{about}has no `{name}`; {EXPECTED[what]}")
        found = type(node[name]).__name__ if what == "file" else repr(node[name])[:100]
        raise ValueError(f"{about}has {found} as `{name}`, expected {field.expected}")


def _by_id(images: Sequence[Any], path: Path) -> dict[int | str, Mapping[str, Any]]:
    table: dict[int | str, Mapping[str, Any]] = {}
    for image in images:
        _require(image, IMAGE, "image", path)
        if image["id"] in table:
            raise ValueError(f"{path}: two images have the id {image['id']}; remove one")
        table[image["id"]] = image
    return table


def _numbers(workers: Iterable[int | str]) -> dict[int | str, int]:
    """A number for each worker, their own where all have one."""
    names = dict.fromkeys(workers)
    if all(isinstance(each, int) and abs(each) <= LARGEST for each in names):
        return {each: int(each) for each in names}
    return {each: number for number, each in enumerate(names)}


def _of_image(
    image: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    numbers: Mapping[int | str, int],
    path: Path,
    outside: Outside,
) -> Recording:
    name, size = image["file_name"], (image["height"], image["width"])
    if not annotations:
        raise ValueError(
            f"{path}: image {name} (id {image['id']}) has no annotation; take it from `images`, "
            "or take a file with fixations (the test set's are not published)"
        )
    points = np.concatenate([annotation["fixations"] for annotation in annotations])
    workers = [annotation["worker_id"] for annotation in annotations]
    lengths = [len(annotation["fixations"]) for annotation in annotations]

    def refuse(i: int) -> ValueError:
        worker = np.repeat(np.array(workers, object), lengths)[i]
        return outside_error(points, i, size=size, who=f"{path}: image {name}, worker {worker}")

    return place(
        points.astype(np.float64) - 1,
        np.repeat(np.array([numbers[each] for each in workers], np.int32), lengths),
        name=plain_name(name),
        size=size,
        outside=outside,
        refuse=refuse,
    )


def _read_mat(path: Path, kind: Literal["fixations", "location"], outside: Outside) -> Recording:
    found = read_variables(path, ("gaze", "resolution"))
    for key in ("gaze", "resolution"):
        if key not in found:
            raise ValueError(f"{path}: has no `{key}`; expected SALICON's published file of 2017")
    observers = as_list(found["gaze"])
    if not all(isinstance(each, dict) and kind in each for each in observers):
        raise ValueError(f"{path}: expected `gaze` with `{kind}`; take SALICON's files of 2017")
    parts = [
        points_of(each[kind], what=f"`{kind}` of observer {number}", path=path)
        for number, each in enumerate(observers)
        if isinstance(each, dict)
    ]
    points = np.rint(np.concatenate([np.zeros((0, 2)), *parts]))[:, ::-1]
    people = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    name, size = f"{path.stem}.jpg", _size(found["resolution"], path)
    where = f"{path}: image {name}, worker"
    return place_from_one(points, people, name=name, size=size, outside=outside, where=where)


def _size(resolution: Value, path: Path) -> tuple[int, int]:
    sides = resolution.ravel().tolist() if isinstance(resolution, np.ndarray) else []
    whole = [int(each) for each in sides if isinstance(each, int | float) and each % 1 == 0]
    if len(sides) != 2 or len(whole) != 2 or not all(map(LENGTH.fits, whole)):
        raise ValueError(
            f"{path}: expected `resolution` as [height, width]; take SALICON's files of 2017"
        )
    return whole[0], whole[1]


def place_from_one(
    points: np.ndarray,
    people: np.ndarray,
    *,
    name: str,
    size: tuple[int, int],
    outside: Outside,
    where: str,
) -> Recording:
    """`place` of whole numbers (row, col) from 1; who made a point follows `where` in an error."""

    def refuse(i: int) -> ValueError:
        return outside_error(points, i, size=size, who=f"{where} {people[i]}")

    return place(points - 1, people, name=name, size=size, outside=outside, refuse=refuse)


def outside_error(points: np.ndarray, i: int, *, size: tuple[int, int], who: str) -> ValueError:
    """That point `i` of [n 2] points, (row, col) from 1, is outside of an image of `size`."""
    row, col = points[i]
    hint = "mend or remove it; or drop such points, or clip what is near (`outside`, --outside)"
    if points.min() == 0:
        hint = "0 occurs, so the points may count from 0; add 1"
    elif (points >= 1).all() and (points <= size[::-1]).all():
        hint = "with row and col exchanged all would fit; the file may hold (x, y)"
    return ValueError(
        f"{who}: fixation (row {row:g}, col {col:g}) is outside {size[0]} x {size[1]} (points "
        f"count from 1); {hint}"
    )
