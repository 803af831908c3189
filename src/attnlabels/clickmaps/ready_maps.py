"""ClickMe 2.0's finished maps: HDF5 with a group for each image in the group `clickmaps`.

A group's name is the image's path with its separators replaced, its attribute `original_path` that
path; its dataset `clickmap` is the map, already blurred, and `bin_clickmaps` those of each player.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from jaxtyping import Float32

from attnlabels.pipeline.pointers import refuse_pointer

GROUP, MAP, PATH = "clickmaps", "clickmap", "original_path"


class ReadyMap(NamedTuple):
    """A map, >= 0, of the image of a name."""

    name: str
    map: Float32[np.ndarray, "h w"] | None  # None: of nothing but zeros
    where: str  # for messages


def read_hdf5(path: Path) -> Iterator[ReadyMap]:
    """The maps of a file in the order of their groups' names.

    Raises ValueError, naming the group, for what is no map and for a file that is cut short.
    """
    refuse_pointer(path)
    try:
        with h5py.File(path, "r") as file:
            groups = file.get(GROUP)
            if not isinstance(groups, h5py.Group):
                raise ValueError(
                    f"{path}: has no group {GROUP!r}; expected HDF5 of ClickMe 2.0's pipeline"
                )
            for name in groups:
                yield _ready_map(groups[name], name, f"{path}: {GROUP}/{name}")
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path}: no whole HDF5 ({error}); fetch it again") from error


def _ready_map(group: h5py.Group | h5py.Dataset, name: str, where: str) -> ReadyMap:
    data = group.get(MAP) if isinstance(group, h5py.Group) else None
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "iufb":
        raise ValueError(f"{where}: has no numbers {MAP!r}; expected a map a group")
    map = np.squeeze(data[()]).astype(np.float32)
    if map.ndim != 2 or not map.size:
        raise ValueError(f"{where}: {MAP} is {list(data.shape)}; expected one map [h, w]")
    if not np.isfinite(map).all() or map.min() < 0:
        raise ValueError(
            f"{where}: a map from {map.min():g} to {map.max():g}; expected 0 and more: mend it, or "
            "remove the group"
        )
    path = group.attrs.get(PATH, name)
    path = path.decode() if isinstance(path, bytes) else str(path)
    return ReadyMap(path, map if map.any() else None, where)
