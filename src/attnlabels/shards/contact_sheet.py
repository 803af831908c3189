"""A contact sheet of labelled images: what a folder of attention shards holds, to be looked at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from attnlabels.images.decoding import decode
from attnlabels.images.overlays import colour_map, fit_inside, overlay, spread
from attnlabels.pipeline.places import require_ours, settle
from attnlabels.pipeline.writing import replacing
from attnlabels.shards.index import KINDS
from attnlabels.shards.shards import Sample, Shards

SIDE = 160  # pixels of a picture's longer side
GAP = 8
WIDTH = 3 * (SIDE + GAP) + GAP  # of a sample
LINE = 18  # of text
LONGEST = 44  # letters of a key
PNG, NOTE = b"\x89PNG\r\n\x1a\n", b"Software\0attnlabels show"
HEAD = 256  # bytes of a PNG in which the note is
INK, FAINT = (0, 0, 0), (110, 110, 110)


def show(shards: Path, *, out: Path, count: int = 24, columns: int = 3) -> None:
    """Write a PNG of `count` samples, from all over the set: image, map, and both with the points.

    A map spans the colours of "inferno" from 0 to its largest value; its cells are drawn as they
    are stored. Under it stands the sample's key, its class and how many points it has. Raises
    ValueError or OSError if the shards are not whole, or if `out` is a folder or another picture.
    """
    settle(Path(out))
    require_ours(Path(out), lambda data: data.startswith(PNG) and NOTE in data[:HEAD])
    samples = Shards(Path(shards))
    chosen = spread(len(samples), count)
    columns = min(columns, len(chosen))
    tiles = [_draw(samples[i], samples.classes) for i in chosen]
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    heights = [max(len(tile) for tile in row) for row in rows]
    sheet = np.full((LINE + sum(heights), columns * WIDTH, 3), 255, np.uint8)
    bottom = LINE
    for row, height in zip(rows, heights):
        bottom += height
        for i, tile in enumerate(row):
            sheet[bottom - len(tile) : bottom, i * WIDTH : (i + 1) * WIDTH] = tile
    drawn_by = KINDS[samples.index["maps_by"]["kind"]]
    title = f"{len(tiles)} of {len(samples)} images, maps by {drawn_by}"
    with replacing(Path(out)) as aside:
        drawn = _write(sheet, [((GAP, 3), title, INK)])
        drawn.save(aside, format="PNG", optimize=True, pnginfo=_note())


def _note() -> PngInfo:
    """What tells a sheet from a picture of the user's, which none may replace."""
    note = PngInfo()
    note.add(b"tEXt", NOTE)
    return note


def _draw(sample: Sample, classes: Sequence[str]) -> UInt8[np.ndarray, "h w 3"]:
    """The three pictures beside each other on white, and a line below them."""
    image = fit_inside(decode(sample["image"], name=sample["name"]), side=SIDE)
    h, w = image.shape[:2]
    map = colour_map(sample["map"], size=(h, w))
    both = overlay(image, sample["map"], sample["points"], grid=sample["grid"])
    tile = np.full((h + LINE + GAP, WIDTH, 3), 255, np.uint8)
    for i, picture in enumerate((image, map, both)):
        left = GAP + i * (SIDE + GAP) + (SIDE - w) // 2
        tile[:h, left : left + w] = picture
    key = sample["key"] if len(sample["key"]) <= LONGEST else f"…{sample['key'][1 - LONGEST :]}"
    of_class = f"  class {classes[sample['label']]}" if sample["label"] >= 0 else ""
    text = f"{key}{of_class}  {len(sample['points'])} points"
    return np.asarray(_write(tile, [((GAP, h + 2), text, FAINT)]))


def _write(
    pixels: UInt8[np.ndarray, "h w 3"],
    lines: Sequence[tuple[tuple[int, int], str, tuple[int, int, int]]],
) -> Image.Image:
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=12)
    for place, text, ink in lines:
        draw.text(place, text, fill=ink, font=font)
    return picture
