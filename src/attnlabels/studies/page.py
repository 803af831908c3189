"""A study's page: what was found, its tables and some pictures, in one file that needs no other."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
from jaxtyping import UInt8

from attnlabels.pipeline.writing import replacing
from attnlabels.reporting.legend import show
from attnlabels.reporting.page import bands_of
from attnlabels.reporting.pictures import address_of_image
from attnlabels.reporting.tables import Printed

Picture = UInt8[np.ndarray, "_ _ 3"]


class Pictures(NamedTuple):
    """Rows of pictures under a title, each with its name; a column an image."""

    title: str
    caption: str
    rows: list[tuple[str, list[Picture]]]


class Page(NamedTuple):
    """What a study's page holds; `finding` are sentences, `made_by` says of machines and code."""

    title: str
    finding: Sequence[str]
    tables: Sequence[Printed]
    pictures: Sequence[Pictures]
    notes: Sequence[str]
    made_by: str


def write_page(path: Path, page: Page) -> None:
    """Write the page as one file; every text that is put into it is escaped."""
    source = Path(__file__)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"show": show, "bands": bands_of, "address": address_of_image}
    text = environment.from_string(source.with_suffix(".html").read_text()).render(
        page=page, style=source.with_suffix(".css").read_text()
    )
    with replacing(path) as aside:
        aside.write_text(text)
