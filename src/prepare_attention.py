"""Turn recordings of where people looked into shards of images with attention maps.

    python src/prepare_attention.py SET IMAGES ANNOTATIONS OUT

SET is a row of `prepare_attention` in params.yaml. Maps are densities of the recorded points by
SALICON's recipe, drawn at the image's size and then reduced, or the data set's own PNG files.
An image's fold is a checksum of its file name, so the same image is in the same fold of every
recording, edition and machine: sets with other folds share no image. SALICON's 10,000 training
images take some minutes on one core.
"""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from jaxtyping import Float
from pydantic import Field
from tqdm import tqdm

from attnlabels.datasets.density import density
from attnlabels.datasets.images import decode, resize
from attnlabels.datasets.salicon import Recording, read_json, read_mat, read_osie
from attnlabels.datasets.shards import Sample, write_shards
from attnlabels.params import load, record
from attnlabels.report import replacing
from attnlabels.script import run

Amount = Annotated[int, Field(ge=1)]
Length = Annotated[float, Field(gt=0)]
Layout = Literal["salicon_json", "salicon_mat", "osie_mat"]
Points = Literal["fixations", "location"]


@record
class PrepareAttention:
    layout: Layout
    images: str  # given to this script by dvc.yaml, as are the annotations
    annotations: str
    maps: str | None  # folder of ready-made PNG maps; null: draw them from the points
    points: Points  # location: the raw mouse samples, which salicon_mat alone has apart
    count: Literal["binary", "counted"]
    sigma_px: Length  # at the width sigma_width; scaled to the image's
    sigma_width: Amount
    map_size: tuple[Amount, Amount]  # height, width, as stored
    folds: Amount
    keep: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    expected: Amount | None  # number of images in the folds kept; null: any
    broken: Literal["stop", "skip"]  # at a file that is missing, truncated or of another size
    shard_size: Amount


def main(name: str, images: Path, annotations: Path, out: Path) -> None:
    p = load(PrepareAttention, "prepare_attention", name)
    where = f"params.yaml: prepare_attention.{name}"
    if max(p.keep) >= p.folds or len(set(p.keep)) < len(p.keep):
        raise ValueError(f"{where}.keep is {p.keep}; expected different folds of 0..{p.folds - 1}")
    if p.points == "location" and p.layout != "salicon_mat":
        raise ValueError(f"{where}.points: {p.layout} has no `location`; expected `fixations`")

    recordings = [
        each for each in read_recordings(annotations, layout=p.layout, points=p.points)
        if fold_of(each.name, p.folds) in p.keep
    ]
    if not recordings:
        raise ValueError(f"{annotations}: no image in the folds of {where}.keep; keep more")
    if p.expected is not None and len(recordings) != p.expected:
        raise ValueError(
            f"{annotations}: {len(recordings)} images in the folds kept, {p.expected} expected; "
            f"complete the data, or mend {where}.expected"
        )
    maps_by = {
        "kind": "human", "annotations": annotations.name, "layout": p.layout, "maps": p.maps,
        "points": p.points, "count": p.count, "sigma_px": p.sigma_px,
        "sigma_width": p.sigma_width, "folds": p.folds, "keep": p.keep,
        "clipped_points": sum(each.n_clipped for each in recordings),
    }
    skipped: list[str] = []
    with replacing(out) as aside:
        write_shards(
            aside,
            draw_samples(
                tqdm(recordings, desc=name, disable=None), images, skipped,
                p=p, source=annotations.name,
            ),
            maximum_count=p.shard_size,
            maps_by=maps_by,
            classes=[],
            skipped=skipped,
        )
    print(f"{name}: {len(recordings) - len(skipped)} images, {len(skipped)} skipped")


def draw_samples(
    recordings: Iterable[Recording],
    images: Path,
    skipped: list[str],
    *,
    p: PrepareAttention,
    source: str,
) -> Iterator[Sample]:
    """A sample a recording; the names of those left out are appended to `skipped`."""
    for recording in recordings:
        try:
            image = read_photograph(images / recording.name, recording)
            if p.maps is None:
                sigma_px = p.sigma_px * recording.width / p.sigma_width
                map = density(
                    recording.points, height=recording.height, width=recording.width,
                    sigma_px=sigma_px, count=p.count,
                )
            else:
                map = read_map(Path(p.maps) / f"{stem(recording)}.png", recording)
        except (ValueError, FileNotFoundError):
            if p.broken == "stop":
                raise
            skipped.append(recording.name)
            continue
        size = (recording.height, recording.width)
        yield Sample(
            key=stem(recording), image=image, map=resize(map, *p.map_size).clip(min=0),
            points=recording.points, observers=recording.observers, label=-1, grid=size,
            image_size=size, source=source, name=recording.name,
        )


def read_recordings(annotations: Path, *, layout: Layout, points: Points) -> list[Recording]:
    match layout:
        case "salicon_json":
            return read_json(annotations)
        case "salicon_mat":
            return read_mat(annotations, points=points)
        case "osie_mat":
            return read_osie(annotations)


def fold_of(name: str, folds: int) -> int:
    """Where the image belongs, by its file name alone."""
    return zlib.crc32(Path(name).name.encode()) % folds


def stem(recording: Recording) -> str:
    return Path(recording.name).stem


def read_photograph(path: Path, recording: Recording) -> bytes:
    """The image file, once it is seen to be whole and of the recording's size."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: has annotations, but the image is missing; put it there, or set "
            "`broken: skip` in its row of `prepare_attention` in params.yaml"
        )
    data = path.read_bytes()
    require_size(decode(data, name=str(path)), recording, path)
    return data


def read_map(path: Path, recording: Recording) -> Float[np.ndarray, "h w"]:
    """A ready-made map as it is; the shards scale it."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: map missing; put it there, or let the points draw it: `maps: null`"
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


if __name__ == "__main__":
    run(main)
