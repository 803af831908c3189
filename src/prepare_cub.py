"""Turn CUB-200 and gaze in CUB-GHA's format into shards of images with classes and maps.

    python src/prepare_cub.py SET ROOT GAZE OUT

SET is a row of `prepare_cub` in params.yaml. Images that nobody looked at are left out and counted.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from tqdm import tqdm

from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.recordings.points import Outside
from attnlabels.shards.shards import write_shards
from attnlabels.tasks.cub import Split, draw_samples, read_cub, read_gaze

Amount = Annotated[int, Field(ge=1)]


@record
class PrepareCub:
    root: str  # given to this script by dvc.yaml, as is the gaze
    gaze: str
    split: Split
    outside: Outside  # what becomes of points outside of their image
    sigma_px: Annotated[float, Field(gt=0)]  # at the width sigma_width; scaled to the image's
    sigma_width: Amount
    map_size: tuple[Amount, Amount]  # height, width, as stored
    shard_size: Amount


def main(name: str, root: Path, gaze: Path, out: Path) -> None:
    p = load(PrepareCub, "prepare_cub", name)
    cub = read_cub(root)
    looked = read_gaze(gaze, cub.images)
    samples = draw_samples(
        root,
        cub,
        looked,
        split=p.split,
        outside=p.outside,
        sigma_px=p.sigma_px,
        sigma_width=p.sigma_width,
        map_size=p.map_size,
        source=gaze.name,
    )
    told = {key: value for key, value in vars(p).items() if key not in ("root", "gaze")}
    with replacing_folder(out) as aside:
        write_shards(
            aside,
            iter(tqdm(samples, desc=name, disable=None)),
            maximum_count=p.shard_size,
            maps_by={"kind": "human", "annotations": gaze.name, **told},
            classes=cub.classes,
        )
    print(f"{name}: {len(cub.images.keys() - looked.keys())} images without gaze left out")


if __name__ == "__main__":
    run(main)
