"""Turn folders of frames, and a table of who looked where, into shards of clips.

    python src/prepare_clips.py SET FOLDER OUT

SET is a row of `prepare_clips` in params.yaml; FOLDER has `<class>/<clip>/<frame>.png` and gaze.csv
(`attnlabels.tasks.frames`).
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from tqdm import tqdm

from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.shards.clips import write_clips
from attnlabels.tasks.frames import GAZE, draw_clips, list_clips, read_gaze

Amount = Annotated[int, Field(ge=1)]


@record
class PrepareClips:
    folder: str  # given to this script by dvc.yaml
    sigma_px: Annotated[float, Field(gt=0)]
    map_size: tuple[Amount, Amount]  # height, width, as stored
    shard_size: Amount


def main(name: str, folder: Path, out: Path) -> None:
    p = load(PrepareClips, "prepare_clips", name)
    clips = list_clips(folder)
    classes = sorted({each.partition("/")[0] for each in clips})
    drawn = draw_clips(
        clips,
        read_gaze(folder / GAZE, clips),
        classes=classes,
        sigma_px=p.sigma_px,
        map_size=p.map_size,
    )
    with replacing_folder(out) as aside:
        write_clips(
            aside,
            iter(tqdm(drawn, desc=name, total=len(clips), disable=None)),
            maximum_count=p.shard_size,
            maps_by={"kind": "human", "sigma_px": p.sigma_px},
            classes=classes,
        )


if __name__ == "__main__":
    run(main)
