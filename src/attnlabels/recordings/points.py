"""Where people looked in one image, in its pixels, and what becomes of points outside of it."""

import hashlib
import stat
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

FAR = 10.0  # sides of the image: what is farther outside is no place on a screen

Outside = Literal["refuse", "drop", "clip"]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Where people looked in one image."""

    name: str  # the image's path in the folder of images, posix
    height: int
    width: int
    points: Int[np.ndarray, "n 2"]  # (row, col) from 0, inside the image
    observers: Int[np.ndarray, "n"]  # who made each point
    n_clipped: int = 0  # points that were outside and are now on the border
    n_dropped: int = 0  # points that were outside and are left out
    n_names: int = 1  # how often the photograph was named, in one spelling or in several


def place(
    cells: Float[np.ndarray, "n 2"],
    observers: Int[np.ndarray, "n"],
    *,
    name: str,
    size: tuple[int, int],
    outside: Outside,
    refuse: Callable[[int], ValueError],
) -> Recording:
    """The recording of an image of `size` (height, width) from whole numbers (row, col) from 0.

    A point outside is refused, dropped or moved to the border, as `outside` has it; one that is no
    place near the image (NaN, or farther off than ten of its sides) is not moved but refused.
    `refuse` makes the error for the point of that number.
    """
    sides = np.array(size, np.float64)
    inside = ((cells >= 0) & (cells < sides)).all(axis=1)
    near = ((cells >= -FAR * sides) & (cells < (1 + FAR) * sides)).all(axis=1)
    wrong = {"refuse": ~inside, "drop": np.zeros_like(inside), "clip": ~near}[outside]
    if wrong.any():
        raise refuse(int(np.flatnonzero(wrong)[0]))
    kept = inside if outside == "drop" else np.ones_like(inside)
    return Recording(
        name=name,
        height=size[0],
        width=size[1],
        points=cells[kept].clip(0, sides - 1).astype(np.int32),
        observers=observers[kept],
        n_clipped=int((kept & ~inside).sum()),
        n_dropped=int((~kept).sum()),
    )


def plain_name(name: str) -> str:
    """The one spelling of an image's path: `./a.jpg` and `b//a.jpg` are `a.jpg` and `b/a.jpg`."""
    return str(PurePosixPath(name))


def merge(recordings: Iterable[Recording], key: Callable[[str], Hashable]) -> list[Recording]:
    """One recording for each photograph: those whose names have one `key` become the first's.

    Raises ValueError if their sizes differ.
    """
    merged: dict[Hashable, list[Recording]] = {}
    for each in recordings:
        merged.setdefault(key(each.name), []).append(each)
    return [_join(same) if len(same) > 1 else same[0] for same in merged.values()]


def merge_files(recordings: Sequence[Recording], images: Path) -> list[Recording]:
    """One recording for each photograph, whatever it is called in the folder `images`.

    Two names are one photograph if they lead to one file (a link, a file system that does not tell
    capitals) or to files of the same bytes. Else one could be held out and the other trained on. A
    file that is not there is told by its name.
    """
    identities: dict[str, Hashable] = {
        each.name: _identity(images, each.name) for each in recordings
    }
    sizes = Counter(each[2] for each in set(identities.values()) if isinstance(each, tuple))
    for name, identity in identities.items():
        # Only files of one length can be the same; few are, so few are read.
        if isinstance(identity, tuple) and sizes[identity[2]] > 1:
            digest = hashlib.sha256((images / name).read_bytes()).digest()
            identities[name] = (identity[2], digest)
    return merge(recordings, identities.__getitem__)


def is_inside(name: str) -> bool:
    """Whether an image's path stays in the folder that it is taken from."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _identity(images: Path, name: str) -> tuple[int, int, int] | str:
    try:
        found = (images / name).stat()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return name
    is_file = stat.S_ISREG(found.st_mode) and is_inside(name)
    return (found.st_dev, found.st_ino, found.st_size) if is_file else name


def _join(same: Sequence[Recording]) -> Recording:
    first = same[0]
    for each in same:
        if (each.height, each.width) != (first.height, first.width):
            raise ValueError(
                f"{first.name} is {first.height} x {first.width}, and under the name {each.name} "
                f"{each.height} x {each.width}; one photograph has one size: mend it"
            )
    return replace(
        first,
        points=np.concatenate([each.points for each in same]),
        observers=np.concatenate([each.observers for each in same]),
        n_clipped=sum(each.n_clipped for each in same),
        n_dropped=sum(each.n_dropped for each in same),
        n_names=sum(each.n_names for each in same),
    )
