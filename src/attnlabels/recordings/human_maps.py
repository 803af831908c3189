"""Samples of shards from recordings of people: photographs with the maps of where they looked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from attnlabels.images.broken import Broken, note_left_out
from attnlabels.images.decoding import decode, resize
from attnlabels.recordings.density import Border, Count, density
from attnlabels.recordings.points import Recording, is_inside
from attnlabels.shards.shards import Sample


@dataclass(frozen=True, kw_only=True)
class Maps:
    """What the maps of recordings are: read, or drawn from the points at the image's size.

    They are drawn by a Gaussian of `sigma_px` pixels where an image is `sigma_width` wide, which
    finds beyond it what `border` says.
    """

    folder: Path | None  # of ready-made maps, `<stem>.png` for an image; None: draw them
    sigma_px: float
    sigma_width: int
    count: Count
    border: Border
    size: tuple[int, int]  # height and width that they are reduced to


def draw_samples(
    recordings: Iterable[tuple[str, Recording]],
    images: Path,
    skipped: list[str],
    *,
    maps: Maps,
    broken: Broken,
    source: str,
) -> Iterator[Sample]:
    """A sample for each recording, which comes with its key; `images` is the photographs' folder.

    At an image that is missing, cut short or of another size, ValueError or FileNotFoundError is
    raised, or its name is appended to `skipped`, as `broken` has it.
    """
    for key, recording in recordings:
        try:
            image = read_photograph(images, recording)
            if maps.folder is None:
                map = draw_map(recording, maps)
            else:
                map = read_map(maps.folder / f"{Path(recording.name).stem}.png", recording)
        except (ValueError, FileNotFoundError) as error:
            if broken == "stop":
                raise
            note_left_out(skipped, recording.name, str(error))
            continue
        size = (recording.height, recording.width)
        yield Sample(
            key=key,
            image=image,
            map=resize(map, *maps.size).clip(min=0),
            points=recording.points,
            observers=recording.observers,
            label=-1,
            grid=size,
            image_size=size,
            source=source,
            name=recording.name,
        )


def draw_map(recording: Recording, maps: Maps) -> Float[np.ndarray, "h w"]:
    """The density of the recorded points at the image's size; ValueError if there is none."""
    if not len(recording.points):
        raise ValueError(
            f"{recording.name}: nobody has a point in it; take it from the recordings, or skip it: "
            "`broken: skip` (--broken skip)"
        )
    return density(
        recording.points,
        height=recording.height,
        width=recording.width,
        sigma_px=maps.sigma_px * recording.width / maps.sigma_width,
        count=maps.count,
        border=maps.border,
    )


def read_photograph(images: Path, recording: Recording) -> bytes:
    """The image file, once it is seen to be whole and of the recording's size.

    An annotation file of others cannot name one outside of the folder `images`.
    """
    path = images / recording.name
    if not is_inside(recording.name):
        raise ValueError(f"{recording.name}: names an image outside of {images}; mend the name")
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: has annotations, but the image is missing; put it there, or set "
            "`broken: skip` to leave out such images"
        )
    data = path.read_bytes()
    require_size(decode(data, name=str(path)), recording, path)
    return data


def read_map(path: Path, recording: Recording) -> Float[np.ndarray, "h w"]:
    """A ready-made map as it is; the shards scale it."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the map is missing; put it there, or let the points draw it: `maps: null`"
        )
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if grey is None:
        raise ValueError(f"{path}: not a readable PNG; fetch it again")
    require_size(grey, recording, path)
    if not grey.any():
        raise ValueError(f"{path}: the map is 0 everywhere; fetch it again")
    return grey.astype(np.float32)


def require_size(pixels: np.ndarray, recording: Recording, path: Path) -> None:
    size = (recording.height, recording.width)
    if pixels.shape[:2] != size:
        raise ValueError(
            f"{path} has {pixels.shape[0]} x {pixels.shape[1]} pixels (height x width), its "
            f"annotations {size[0]} x {size[1]}; take the images that were shown, not resized"
        )
