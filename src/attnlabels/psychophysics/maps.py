"""Maps of images, of whatever source: pictures of them as files, or shards."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from jaxtyping import Float

from attnlabels.images.crops import WHOLE, crop_map
from attnlabels.psychophysics.reveal import require_map
from attnlabels.shards.index import NOBODY
from attnlabels.shards.shards import Shards

TABLE = "samples.npy"  # by which a folder of shards is told


class NoMap(ValueError):
    """There is no map of an image."""


class Maps(ABC):
    """Maps by the names of their images."""

    @abstractmethod
    def read(self, name: str, size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
        """The map, >= 0 and not all 0, at that height and width.

        Raises NoMap where there is none of the image, and ValueError for what is no map.
        """


class Drawn(Maps):
    """A folder of grey PNGs, one a map, in folders and by names as the images are.

    What `attnlabels label --as files` writes, and masks of objects. Of any number of bits.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str, size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
        path = self.folder / PurePosixPath(name).with_suffix(".png")
        if not path.is_file():
            raise NoMap(f"{path}: no map there of the image {name}; put it there")
        grey = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise ValueError(f"{path}: not a readable PNG; fetch it again")
        return _at(grey.astype(np.float32), size, where=str(path))


class Sharded(Maps):
    """A folder of shards, whose samples have the images' names."""

    def __init__(self, folder: Path) -> None:
        self.shards = Shards(folder)
        found = ((self.shards[i]["name"], i) for i in range(len(self.shards)))
        self.numbers = {str(PurePosixPath(name).with_suffix("")): i for name, i in found}

    def read(self, name: str, size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
        number = self.numbers.get(str(PurePosixPath(name).with_suffix("")))
        if number is None:
            raise NoMap(f"{self.shards.folder}: no sample of the image {name}; label these images")
        sample = self.shards[number]
        if sample["source"] == NOBODY:
            raise NoMap(f"{self.shards.folder}: nobody painted on {name}; leave the image out")
        return _at(sample["map"], size, where=f"{self.shards.folder}: {name}")


def open_maps(folder: Path) -> Maps:
    """The maps in a folder; raises FileNotFoundError if it is none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; name one of maps, PNGs or shards")
    return Sharded(folder) if (folder / TABLE).is_file() else Drawn(folder)


def named_maps(words: Sequence[str]) -> dict[str, Path]:
    """Folders of maps by map type, of words `NAME=FOLDER`, or `FOLDER`, whose name is the type.

    Raises ValueError for a name that is empty, no word of letters, digits, "_" and "-", or there
    twice.
    """
    found: dict[str, Path] = {}
    for word in words:
        name, separator, folder = word.partition("=")
        path = Path(folder if separator else word)
        name = name if separator else path.resolve().name
        if not name.replace("-", "_").isidentifier() or (separator and not folder):
            raise ValueError(f"{word!r}: expected NAME=FOLDER, NAME of letters, digits, _ and -")
        if name in found:
            raise ValueError(f"{word!r}: {name} is there twice; name them NAME=FOLDER")
        found[name] = path
    return found


def _at(
    map: Float[np.ndarray, "_ _"], size: tuple[int, int], *, where: str
) -> Float[np.ndarray, "h w"]:
    try:
        require_map(map)
    except ValueError as error:
        raise ValueError(f"{where}: {error}; mend it or leave the image out") from None
    # In double precision, and of whatever size: what the order is made from is made once.
    return np.maximum(crop_map(map.astype(np.float64), WHOLE, size=size), 0)
