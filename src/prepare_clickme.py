"""Turn what players of ClickMe painted into shards of images with classes and maps.

    python src/prepare_clickme.py NAME IMAGES CLICKS OUT REPORT

NAME is a row of `prepare_clickme` in params.yaml. CLICKS is a file, or a folder of files, in one of
ClickMe's forms, told from what it holds: TFRecord, whose records bring their images; a CSV or npz
of players' clicks; HDF5 of finished maps. IMAGES has a folder for each class: the images that
clicks and finished maps are of, and the names of the classes. Records need no images; where there
are none, IMAGES is CLICKS once more, and the classes have numbers for names.

An image that nobody painted on, or whose map is not used, has a map of zeros and the source
"nobody". REPORT says what was read and used, and what each filter left out.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import Field
from tqdm import tqdm

from attnlabels.clickmaps.blurring import Blur
from attnlabels.clickmaps.filters import Filters
from attnlabels.clickmaps.reading import read_painted, summary
from attnlabels.clickmaps.samples import Maps, Unpainted, as_samples, draw_all
from attnlabels.clickmaps.sources import Manner
from attnlabels.images.broken import Broken
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_metrics
from attnlabels.recordings.density import Count
from attnlabels.recordings.points import Outside
from attnlabels.shards.shards import write_shards

Amount = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
TOLD = ("classes", "count", "blur", "outside", "share", "unpainted")  # of a row, in the index


@record
class PrepareClickme:
    images: str  # given to this script by dvc.yaml, as are the clicks
    clicks: str
    classes: Amount
    filters: Filters | None  # of players' clicks; null: records and finished maps have none
    count: Count  # of a player's clicks on a pixel
    blur: Blur
    map_size: tuple[Amount, Amount]  # height, width, as stored
    share: Share  # of the images whose map is used
    unpainted: Unpainted  # what becomes of images that nobody painted on
    outside: Outside  # what becomes of clicks outside of their image
    broken: Broken  # at an image that is missing or unreadable, or a record that is damaged; behind
    # one of damaged length the rest of its file is skipped too
    shard_size: Amount
    workers: Annotated[int, Field(ge=0)]  # processes beside this one that read, decode and blur


def main(name: str, images: Path, clicks: Path, out: Path, report: Path) -> None:
    p = load(PrepareClickme, "prepare_clickme", name)
    threads = take_threads()
    manner = Manner(broken=p.broken, outside=p.outside, count=p.count, filters=p.filters)
    counts: Counter[str] = Counter()
    skipped: list[str] = []
    found = read_painted(images, clicks, counts, skipped, n_classes=p.classes, manner=manner)
    maps = Maps(blur=p.blur, size=p.map_size, share=p.share, source=found.form)
    drawn = draw_all(found.images, maps, workers=p.workers)
    told = {key: getattr(p, key) for key in TOLD}
    samples = as_samples(
        iter(tqdm(drawn, desc=name, total=len(found.images), disable=None)),
        counts,
        skipped,
        unpainted=p.unpainted,
        broken=p.broken,
        where=str(clicks),
    )
    with replacing_folder(out) as aside:
        write_shards(
            aside,
            samples,
            maximum_count=p.shard_size,
            maps_by={"kind": "players", "form": found.form, **told},
            classes=found.classes,
            skipped=skipped,
        )
    write_metrics(report, summary(found.form, counts, skipped), threads=threads)


if __name__ == "__main__":
    run(main)
