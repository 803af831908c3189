"""Clips as folders of frames, `<class>/<clip>/<frame>.png`, and a table of who looked where.

The table is `gaze.csv` beside the classes: clip (its path), frame, x and y, all from 0, in pixels
of a frame. Frames are those of a clip in the order of their names.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from attnlabels.images.decoding import read_image, resize
from attnlabels.recordings.density import density
from attnlabels.shards.clips import Clip

GAZE = "gaze.csv"
COLUMNS = ("clip", "frame", "x", "y")
SUFFIXES = (".png", ".jpg", ".jpeg")


def list_clips(root: Path) -> dict[str, list[Path]]:
    """The frames of each clip by its path below `root`, classes and clips in order.

    Raises ValueError for a clip of one frame, and for clips of unequal length.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; expected <class>/<clip>/<frame>.png")
    clips = {
        f"{folder.parent.name}/{folder.name}": sorted(
            each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES
        )
        for folder in sorted(root.glob("*/*"))
        if folder.is_dir()
    }
    if not clips:
        raise ValueError(f"{root}: no clip; expected <class>/<clip>/<frame>.png")
    first, frames = next(iter(clips.items()))
    for name, each in clips.items():
        if len(each) < 2:
            raise ValueError(f"{root / name} has {len(each)} frames; a clip has two or more")
        if len(each) != len(frames):
            raise ValueError(
                f"{root / name} has {len(each)} frames, {first} {len(frames)}; cut all alike"
            )
    return clips


def read_gaze(path: Path, clips: Mapping[str, Sequence[Path]]) -> dict[str, Int[np.ndarray, "n 3"]]:
    """Each clip's points (frame, row, col).

    Raises ValueError, with the line, for a clip or frame that is not there, or no whole number.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no table of gaze; expected {', '.join(COLUMNS)}")
    found: dict[str, list[tuple[int, int, int]]] = {name: [] for name in clips}
    with path.open(newline="") as file:
        rows = csv.reader(file)
        if tuple(next(rows, ())) != COLUMNS:
            raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}")
        for number, row in enumerate(rows, 2):
            try:
                name, frame, x, y = row[0], *map(int, row[1:])
            except (ValueError, IndexError):
                raise ValueError(f"{path}:{number}: expected a clip, and three numbers") from None
            if name not in clips or not 0 <= frame < len(clips[name]):
                raise ValueError(
                    f"{path}:{number}: gaze for {name}, frame {frame}, which is not there"
                )
            found[name].append((frame, y, x))
    return {name: np.array(points).reshape(-1, 3) for name, points in found.items()}


def read_frames(paths: Sequence[Path]) -> np.ndarray:
    """The frames of one clip, uint8 [t, h, w, 3]; raises ValueError for one broken or unequal."""
    frames = [read_image(path) for path in paths]
    for path, frame in zip(paths, frames):
        if frame.shape != frames[0].shape:
            raise ValueError(f"{path}: of another size than {paths[0].name}; cut all alike")
    return np.stack(frames)


def draw_clips(
    clips: Mapping[str, Sequence[Path]],
    gaze: Mapping[str, Int[np.ndarray, "n 3"]],
    *,
    classes: Sequence[str],
    sigma_px: float,
    map_size: tuple[int, int],
) -> Iterator[Clip]:
    """The clips with their maps, of a Gaussian of `sigma_px` around all points of all frames."""
    for number, (name, paths) in enumerate(clips.items()):
        points, frames = gaze[name], read_frames(paths)
        if not len(points):
            raise ValueError(f"{name}: nobody looked at it; take it out, or complete the gaze")
        height, width = frames.shape[1:3]
        try:
            map = density(
                points[:, 1:], height=height, width=width, sigma_px=sigma_px, count="counted"
            )
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        yield Clip(
            key=f"clip{number:06d}",
            frames=frames,
            map=resize(map, *map_size).clip(min=0),
            points=points,
            label=classes.index(name.partition("/")[0]),
            source=GAZE,
            name=name,
        )
