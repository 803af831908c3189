"""Turn recordings of where people looked into shards of images with attention maps.

    python src/prepare_attention.py SET IMAGES ANNOTATIONS OUT

SET is a row of `prepare_attention` in params.yaml. Maps are densities of the recorded points by
SALICON's recipe, drawn at the image's size and then reduced, or the data set's own PNG files.
An image's fold is a checksum of its file name, so the same image is in the same fold of every
recording, edition and machine: sets with other folds share no image. SALICON's 10,000 training
images take some minutes on one core.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from tqdm import tqdm

from attnlabels.images.broken import Broken
from attnlabels.images.names import fold_of
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.recordings.density import Border
from attnlabels.recordings.human_maps import Maps, draw_samples
from attnlabels.recordings.points import Outside, Recording
from attnlabels.recordings.reading import Layout, Points, read_published
from attnlabels.shards.shards import write_shards

Amount = Annotated[int, Field(ge=1)]
Length = Annotated[float, Field(gt=0)]
DRAWN = ("layout", "maps", "points", "count", "border", "sigma_px", "sigma_width")
TOLD = (*DRAWN, "outside", "folds", "keep")  # of a row, in the shards' index


@record
class PrepareAttention:
    layout: Layout
    images: str  # given to this script by dvc.yaml, as are the annotations
    annotations: str
    maps: str | None  # folder of ready-made PNG maps; null: draw them from the points
    points: Points  # location: the raw mouse samples, which salicon_mat alone has apart
    outside: Outside  # what becomes of points outside of their image; all is counted
    count: Literal["binary", "counted"]
    border: Border  # beyond which the Gaussian finds nothing, or the image reflected
    sigma_px: Length  # at the width sigma_width; scaled to the image's
    sigma_width: Amount
    map_size: tuple[Amount, Amount]  # height, width, as stored
    folds: Amount
    keep: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    expected: Amount | None  # number of images in the folds kept; null: any
    broken: Broken  # at a file that is missing, truncated or of another size
    shard_size: Amount


def main(name: str, images: Path, annotations: Path, out: Path) -> None:
    p = load(PrepareAttention, "prepare_attention", name)
    recordings = choose_recordings(name, images, annotations, p)
    maps = Maps(
        folder=Path(p.maps) if p.maps is not None else None,
        sigma_px=p.sigma_px,
        sigma_width=p.sigma_width,
        count=p.count,
        border=p.border,
        size=p.map_size,
    )
    skipped: list[str] = []
    with_keys = [(Path(each.name).stem, each) for each in recordings]
    with replacing_folder(out) as aside:
        write_shards(
            aside,
            draw_samples(
                tqdm(with_keys, desc=name, disable=None),
                images,
                skipped,
                maps=maps,
                broken=p.broken,
                source=annotations.name,
            ),
            maximum_count=p.shard_size,
            maps_by=provenance(annotations, recordings, p),
            classes=[],
            skipped=skipped,
        )
    print(f"{name}: {len(recordings) - len(skipped)} images, {len(skipped)} skipped")


def choose_recordings(
    name: str, images: Path, annotations: Path, p: PrepareAttention
) -> list[Recording]:
    """The recordings in the folds kept, one for each photograph, whatever names it has.

    Raises ValueError if they or the row do not fit.
    """
    where = f"params.yaml: prepare_attention.{name}"
    if max(p.keep) >= p.folds or len(set(p.keep)) < len(p.keep):
        raise ValueError(f"{where}.keep is {p.keep}; expected different folds of 0..{p.folds - 1}")
    if p.points == "location" and p.layout != "salicon_mat":
        raise ValueError(f"{where}.points: {p.layout} has no `location`; expected `fixations`")
    found = read_published(annotations, images, layout=p.layout, points=p.points, outside=p.outside)
    recordings = [each for each in found if fold_of(each.name, p.folds) in p.keep]
    if not recordings:
        raise ValueError(f"{annotations}: no image in the folds of {where}.keep; keep more")
    if p.expected is not None and len(recordings) != p.expected:
        raise ValueError(
            f"{annotations}: {len(recordings)} images in the folds kept, {p.expected} expected; "
            f"complete the data, or mend {where}.expected"
        )
    return recordings


def provenance(
    annotations: Path, recordings: list[Recording], p: PrepareAttention
) -> dict[str, Any]:
    """What the shards say of where their maps come from."""
    return {
        "kind": "human",
        "annotations": annotations.name,
        **{key: getattr(p, key) for key in TOLD},
        "clipped_points": sum(each.n_clipped for each in recordings),
        "dropped_points": sum(each.n_dropped for each in recordings),
        "merged_names": sum(each.n_names - 1 for each in recordings),
    }


if __name__ == "__main__":
    run(main)
