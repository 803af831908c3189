"""Read what players painted, in whichever of ClickMe's forms, and what came of it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attnlabels.clickmaps.forms import Form, files_of, form_of
from attnlabels.clickmaps.samples import PaintedImages
from attnlabels.clickmaps.sources import ClickedImages, Manner, MappedImages, RecordedImages
from attnlabels.images.folder import list_images
from attnlabels.images.tree import ImageFiles

# What `summary` tells, in its order; 0 where nothing was. Players and clicks: of CSV and npz alone.
# Left out are submissions, but for what is named after images or clicks.
READ = ("players_read", "submissions_read", "submissions_used", "clicks_read", "clicks_used")
LEFT_OUT = (
    "catch_trial",
    "mobile",
    "repeated",
    "few_clicks",
    "trimmed",
    "many_clicks",
    "colouring_in",
    "few_players",
    "few_players_images",
    "not_there",
    "of_broken_images",
    "clicks_clipped",
    "clicks_dropped",
)
IMAGES = ("with_map", "withheld", "without_map")


class Found(NamedTuple):
    """Images with what was painted on them, each read when it is asked for."""

    form: Form
    classes: list[str]
    images: PaintedImages


def read_painted(
    images: Path,
    clicks: Path,
    counts: Counter[str],
    skipped: list[str],
    *,
    n_classes: int,
    manner: Manner,
) -> Found:
    """The images, in class folders at `images`, with what the file or folder `clicks` holds.

    Records bring their images, and class folders only name the classes; where `images` is `clicks`
    there are none, and the names are numbers. `counts` and `skipped` get what the file tells of
    players, and of images that are not there; the rest comes with the images. Raises ValueError or
    OSError for what does not fit, here or there.
    """
    files = files_of(clicks)
    form = form_of(files)
    _require_filters(form, files[0], manner)
    if form == "tfrecord":
        numbers = [str(k) for k in range(n_classes)]
        named = images != clicks
        classes = list_images(images, classes=n_classes).classes if named else numbers
        return Found(form, classes, RecordedImages(files, n_classes=n_classes, manner=manner))
    if images == clicks:
        raise ValueError(f"{clicks}: {form} brings no images; name their class folders")
    if len(files) > 1:
        raise ValueError(f"{clicks}: {len(files)} files of {form}; name the one that is meant")
    photographs = ImageFiles(images, list_images(images, classes=n_classes))
    classes = photographs.listed.classes
    if form == "hdf5":
        mapped = MappedImages(files[0], photographs, skipped, manner=manner)
        return Found(form, classes, mapped)
    clicked = ClickedImages(form, files[0], photographs, counts, skipped, manner=manner)
    return Found(form, classes, clicked)


def _require_filters(form: Form, path: Path, manner: Manner) -> None:
    of_clicks = form in ("csv", "npz")
    if of_clicks and manner.filters is None:
        raise ValueError(f"{path}: holds players' clicks, and filters are null; say what is asked")
    if not of_clicks and manner.filters is not None:
        raise ValueError(
            f"{path}: holds maps ({form}), and filters are of players' clicks; set `filters: null`"
        )


def summary(form: Form, counts: Counter[str], skipped: Sequence[str]) -> dict[str, Any]:
    """How many images have a map, and of clicks what was read and what each filter left out."""
    images = {**{key: counts[key] for key in IMAGES}, "skipped": len(skipped)}
    if form in ("tfrecord", "hdf5"):
        return {"images": images}
    return {
        "images": images,
        "read": {key: counts[key] for key in READ},
        "left_out": {key: counts[key] for key in LEFT_OUT},
    }
