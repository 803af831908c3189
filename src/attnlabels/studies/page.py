"""A study's page: what was found, its tables and some pictures, in one file that needs no other."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from attnlabels.pipeline.writing import replacing
from attnlabels.reporting.page import bands_of, environment, style
from attnlabels.reporting.pictures import address_of_image, address_of_picture
from attnlabels.reporting.tables import Printed

Picture = UInt8[np.ndarray, "_ _ 3"]


class Pictures(NamedTuple):
    """Rows of pictures under a title, each with its name; a column an image."""

    title: str
    caption: str
    rows: list[tuple[str, list[Picture]]]


class Drawn(NamedTuple):
    """A figure, as large as it was drawn."""

    title: str
    caption: str
    png: bytes


class Page(NamedTuple):
    """What a study's page holds; `finding` are sentences, `made_by` that of the metrics shown."""

    title: str
    finding: Sequence[str]
    tables: Sequence[Printed]
    pictures: Sequence[Pictures]
    notes: Sequence[str]
    made_by: Mapping[str, str | int]
    figures: Sequence[Drawn] = ()  # the first to be looked at


def write_page(path: Path, page: Page) -> None:
    """Write the page as one file; every text that is put into it is escaped."""
    made = environment()
    made.filters |= {"bands": bands_of, "address": address_of_image}
    made.filters["address_of_png"] = partial(address_of_picture, kind="png")
    template = Path(__file__).with_suffix(".html").read_text()
    text = made.from_string(template).render(page=page, style=style())
    with replacing(path) as aside:
        aside.write_text(text)
