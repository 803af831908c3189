"""Read where people looked from OSIE's repository, as published (Xu et al., J. of Vision 2014).

github.com/NUS-VIP/predicting-human-gaze-beyond-pixels: `data/eye/fixations.mat` holds the eye
fixations of all images, (x, y); `data/mouse_amt` and `data/mouse_lab` a file an image with samples
of the mouse, (row, col). All count from 1.
"""

from pathlib import Path

import numpy as np

from attnlabels.recordings.matlab import Value, as_list, list_mat, read_variables
from attnlabels.recordings.points import Outside, Recording
from attnlabels.recordings.salicon import LARGEST, numbers_of, place_from_one, points_of

SIZE = (600, 800)  # of every image: Xu et al. 2014, section "Stimuli"


def read_eye(path: Path, *, outside: Outside = "clip") -> list[Recording]:
    """The recordings of OSIE's `data/eye/fixations.mat`, in its order.

    Points are rounded. The authors' computeFixationMaps.m moves those outside into the image, as
    `outside` "clip" does.
    """
    return [_of_eye(image, path, outside) for image in as_list(_fixations(path))]


def read_mouse(folder: Path, *, outside: Outside = "refuse") -> list[Recording]:
    """The recordings of OSIE's `data/mouse_amt` or `data/mouse_lab`; `1001.mat` is of `1001.jpg`.

    A point is a sample of the mouse's path.
    """
    paths = list_mat(folder, whose="OSIE's data/mouse_amt")
    return [_of_mouse(path, outside) for path in paths]


def _of_eye(image: Value, path: Path, outside: Outside) -> Recording:
    fields = _fields(image, ("img", "subjects"), path)
    name = fields["img"]
    if not isinstance(name, str) or not name:
        raise ValueError(f"{path}: an image has no name in `img`; fetch the published file again")
    parts = []
    for number, subject in enumerate(as_list(fields["subjects"])):
        found = _fields(subject, ("fix_x", "fix_y"), path)
        what = f"of {name}, subject {number}"
        x, y = (numbers_of(found[key], what=f"`{key}` {what}", path=path) for key in found)
        if x.size != y.size:
            raise ValueError(
                f"{path}: {x.size} `fix_x` and {y.size} `fix_y` {what}; fetch the published file "
                "again"
            )
        parts.append(np.stack([y.ravel(), x.ravel()], axis=1))
    people = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return _placed(np.concatenate([np.zeros((0, 2)), *parts]), people, name, path, outside)


def _of_mouse(path: Path, outside: Outside) -> Recording:
    fields = _fields(_fixations(path), ("coord", "subj"), path)
    points = points_of(fields["coord"], what="`coord`", path=path)
    people = numbers_of(fields["subj"], what="`subj`", path=path).ravel()
    if people.shape != (len(points),) or (people % 1 != 0).any() or (abs(people) > LARGEST).any():
        raise ValueError(
            f"{path}: {len(people)} numbers in `subj` for {len(points)} points; expected a whole "
            "one for each: fetch the published file again"
        )
    return _placed(points, people, f"{path.stem}.jpg", path, outside)


def _placed(
    points: np.ndarray, people: np.ndarray, name: str, path: Path, outside: Outside
) -> Recording:
    points, people = np.rint(points), people.astype(np.int32)
    where = f"{path}: image {name}, subject"
    return place_from_one(points, people, name=name, size=SIZE, outside=outside, where=where)


def _fixations(path: Path) -> Value:
    found = read_variables(path, ["fixations"])
    if "fixations" not in found:
        raise ValueError(f"{path}: has no `fixations`; expected OSIE's published file")
    return found["fixations"]


def _fields(value: Value, names: tuple[str, str], path: Path) -> dict[str, Value]:
    if isinstance(value, list) and len(value) == 1:  # a cell of one struct, as MATLAB nests them
        value = value[0]
    if not isinstance(value, dict) or not value.keys() >= set(names):
        raise ValueError(
            f"{path}: expected a struct with {' and '.join(names)}; fetch the published file again"
        )
    return {name: value[name] for name in names}
