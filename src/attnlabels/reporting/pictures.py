"""Pictures of images and maps, as addresses that hold them: a page needs nothing beside it."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8
from PIL import Image

from attnlabels.images.overlays import colour_map, fit_inside
from attnlabels.pipeline.gaps import Results
from attnlabels.pipeline.results import MAIN, Run, folder_of, read_arrays
from attnlabels.reporting.legend import READOUTS, show
from attnlabels.reporting.scores import cc_reader

SIDE = 128  # pixels of a picture's longer side
QUALITY = 88  # of JPEG: 3 to 5 kB a picture


def address_of_image(pixels: UInt8[np.ndarray, "h w 3"]) -> str:
    """A picture within SIDE pixels; a smaller one is enlarged by a whole factor, in squares."""
    factor = SIDE // max(pixels.shape[:2])
    if factor:
        pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    else:
        pixels = fit_inside(pixels, side=SIDE)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=QUALITY, optimize=True)
    return address_of_picture(file.getvalue(), kind="jpeg")


def address_of_map(map: Float[np.ndarray, "h w"]) -> str:
    """The map in the colours of "inferno", from its least value to its largest."""
    spread = (map - map.min()) / (np.ptp(map) or 1.0)
    return address_of_image(colour_map(spread, size=map.shape))


def address_of_picture(content: bytes, *, kind: str) -> str:
    """A file of a picture, such as "png"."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def address_of_text(content: bytes, *, kind: str) -> str:
    """A file of UTF-8 text, such as "csv"."""
    return f"data:text/{kind};charset=utf-8,{quote(content)}"


def show_examples(results: Results, count: int) -> dict[str, Any]:
    """By readout, rows of pictures: images, people's maps, the teacher's, each run's (Fig. 3a).

    Raises ValueError for a run whose pictures are of other images than the teacher's.
    """
    root = folder_of(results.data, MAIN) / "alignment"
    keys = ("images", "human", "maps", "names")
    teacher = results.read(
        "alignment",
        root / "teacher.npz",
        lambda path: read_arrays(path, keys=keys, stage="evaluate_teacher"),
        study=MAIN,
    )
    scores = results.read(
        "alignment", root / "teacher.csv", cc_reader("evaluate_teacher"), study=MAIN
    )
    if teacher is None or scores is None:
        return {}
    names = [str(name) for name in teacher["names"][:count]]
    common = _rows_of_all(teacher, names, _cc_of(scores, "teacher", names))
    shown = {}
    for readout, title in READOUTS.items():
        rows = []
        for each in results.runs.values():
            found = _read_maps(results, each, readout)
            if found is None:
                continue
            if [*found["names"][:count]] != names:
                raise ValueError(
                    f"{each.name}-{each.seeds[0]}.npz shows other images than "
                    f"{root / 'teacher.npz'}; run the stages evaluate_teacher and "
                    "align_attention again"
                )
            label = show(each.name)
            pictures = [
                _pictured(map, f"{name}: the map of {label}, {title}", cc)
                for name, map, cc in zip(names, found["maps"], found["cc"])
            ]
            rows.append({"label": label, "pictures": pictures})
        shown[title] = {"names": names, "rows": common + rows}
    return shown


def show_extremes(results: Results) -> dict[str, Any]:
    """By run, the eye images of least and of largest CC as refitted."""
    shown = {}
    for each in results.runs.values():
        found = _read_maps(results, each, "refitted", prefix="extreme_")
        if found is not None:
            label = show(each.name)
            shown[label] = [
                {
                    "name": str(name),
                    "cc": cc,
                    "pictures": [
                        {"source": address_of_image(image), "alt": f"Image {name}"},
                        _pictured(human, f"{name}: where people looked"),
                        _pictured(map, f"{name}: the map of {label}, refitted, CC {cc:.2f}"),
                    ],
                }
                for name, image, human, map, cc in zip(
                    found["names"], found["images"], found["human"], found["maps"], found["cc"]
                )
            ]
    return shown


def show_labels(results: Results) -> str | None:
    """The figure of the teacher's labels, as drawn."""
    path = folder_of(results.metrics, MAIN) / "figures/labels.png"
    content = results.read("labels", path, Path.read_bytes, study=MAIN)
    return None if content is None else address_of_picture(content, kind="png")


def _rows_of_all(
    teacher: Mapping[str, np.ndarray], names: Sequence[str], cc: Sequence[float]
) -> list[dict[str, Any]]:
    """The rows that stand above any run's: images, people's maps, the teacher's with their CC."""
    images = [
        {"source": address_of_image(image), "alt": f"Image {name}", "note": ""}
        for name, image in zip(names, teacher["images"])
    ]
    people = [
        _pictured(map, f"{name}: where people looked") for name, map in zip(names, teacher["human"])
    ]
    taught = [
        _pictured(map, f"{name}: the teacher's map", score)
        for name, map, score in zip(names, teacher["maps"], cc)
    ]
    return [
        {"label": "image", "pictures": images},
        {"label": "people", "pictures": people},
        {"label": "teacher", "pictures": taught},
    ]


def _read_maps(results: Results, each: Run, readout: str, *, prefix: str = "") -> Any:
    """A run's pictures of its first seed with their CC; None where it has no such readout."""
    path = each.file(results.data, "alignment", each.seeds[0], suffix=".npz")
    scores = results.read(
        "alignment", path.with_suffix(".csv"), cc_reader("align_attention"), study=each.study
    )
    if scores is None or readout not in {*scores["readout"]}:
        return None
    keys = {key: f"{prefix}{key}" for key in ("images", "human", "names")}
    keys["maps"] = f"{prefix}maps_{readout}"
    arrays = results.read(
        "alignment",
        path,
        lambda path: read_arrays(path, keys=tuple(keys.values()), stage="align_attention"),
        study=each.study,
    )
    if arrays is None:
        return None
    found = {key: arrays[name] for key, name in keys.items()}
    return found | {"cc": _cc_of(scores, readout, [*map(str, found["names"])])}


def _cc_of(scores: pd.DataFrame, readout: str, names: Sequence[str]) -> list[float]:
    """Of eye fixations, which are what is pictured."""
    rows = scores[(scores["set"] == "eye") & (scores["readout"] == readout)]
    return [float(value) for value in rows.set_index("image")["cc"].loc[names]]


def _pictured(map: Float[np.ndarray, "h w"], alt: str, cc: float | None = None) -> dict[str, str]:
    note = "" if cc is None else f"CC {cc:.2f}"
    said = ", ".join(filter(None, [alt, note]))
    return {"source": address_of_map(map), "alt": said, "note": note}
