"""ClickMe 2.0's finished maps: HDF5 with a group for each image in the group `clickmaps`.

A group's name is the image's path with its separators replaced, its attribute `original_path` that
path; its dataset `clickmap` is the map, already blurred, and `bin_clickmaps` those of each player.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float32

from attnlabels.files.damage import NO_HDF5, refusing
from attnlabels.files.pointers import refuse_pointer

GROUP, MAP, PATH = "clickmaps", "clickmap", "original_path"


def list_maps(path: Path) -> dict[str, str]:
    """The groups' names, in their order, and the path of the image that each is of.

    Raises ValueError for another file and for one that is cut short. On damage within the file the
    library HDF5 itself may crash.
    """
    refuse_pointer(path)
    with _opened(path) as file:
        groups = file.get(GROUP)
        if not isinstance(groups, h5py.Group):
            raise ValueError(
                f"{path}: has no group {GROUP!r}; expected HDF5 of ClickMe 2.0's pipeline"
            )
        return {name: _path_of(groups[name], name) for name in groups}


def read_map(path: Path, name: str) -> Float32[np.ndarray, "h w"] | None:
    """The map, >= 0, of a group of the file; None for one of nothing but zeros.

    Raises ValueError, naming the group, for what is no map.
    """
    where = f"{path}: {GROUP}/{name}"
    with _opened(path) as file:
        group = file[GROUP][name]
        data = group.get(MAP) if isinstance(group, h5py.Group) else None
        if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "iufb":
            raise ValueError(f"{where}: has no numbers {MAP!r}; expected a map a group")
        shape, map = data.shape, np.squeeze(data[()]).astype(np.float32)
    if map.ndim != 2 or not map.size:
        raise ValueError(f"{where}: {MAP} is {list(shape)}; expected one map [h, w]")
    if not np.isfinite(map).all() or map.min() < 0:
        raise ValueError(
            f"{where}: a map from {map.min():g} to {map.max():g}; expected 0 and more: mend it, or "
            "remove the group"
        )
    return map if map.any() else None


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    with (
        refusing(NO_HDF5, path, what="no whole HDF5", cure="fetch it again"),
        h5py.File(path, "r") as file,
    ):
        yield file


def _path_of(group: h5py.Group | h5py.Dataset, name: str) -> str:
    path = group.attrs.get(PATH, name)
    return path.decode() if isinstance(path, bytes) else str(path)
