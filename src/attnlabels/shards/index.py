"""The index and the table of a folder of attention shards: what it holds, where a sample lies."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from attnlabels.files.damage import NO_ARRAY, refusing

FORMAT = 1
KINDS = {  # of who drew the maps, in words
    "human": "people",
    "teacher": "a teacher",
    "centre": "a formula, a Gaussian at the centre",
    "shuffled": "a teacher, of other images",
    "masks": "outlines of objects",
    "contracam": "ContraCAM of an encoder",
    "boxes": "a formula, rectangles around maps",
    "players": "players of a game, who painted",
}
PEOPLE = ("human", "players")  # of whom some may have left no point, or one twice
NOBODY = "nobody"  # the source of a sample that nobody drew a map of: 0 everywhere, no points
SAMPLE = np.dtype(
    [("shard", "<i4"), ("offset", "<i8"), ("length", "<i8"), ("label", "<i4"), ("crc", "<u4")]
)
INDEX = {"maps_by": dict, "samples": int, "shards": list, "skipped": list, "classes": list}
ENTRY = {"name": str, "count": int, "bytes": int, "sha256": str}  # of a shard in the index
CURE = "write the shards again with the stage that made them"


def read_index(folder: Path) -> dict[str, Any]:
    """The folder's index, once it is seen to have all its parts and the files of the size it says.

    Raises FileNotFoundError or ValueError naming what is missing or does not fit.
    """
    path = folder / "index.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not here, so {folder} is no finished set; {CURE}")
    try:
        index = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); {CURE}") from error
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT} of attention shards; {CURE}")
    for what in missing_of(index) or unfit_of(index):
        raise ValueError(f"{path}: {what}; {CURE}")
    for shard in index["shards"]:
        tar = folder / shard["name"]
        if not tar.is_file():
            raise FileNotFoundError(f"{tar}: in the index but not on the disk; {CURE}")
        if tar.stat().st_size != shard["bytes"]:
            size = tar.stat().st_size
            raise ValueError(f"{tar} has {size} bytes, its index says {shard['bytes']}; {CURE}")
    return index


def missing_of(index: Mapping[str, Any]) -> list[str]:
    """The parts of an index of this format that are missing or of another type."""
    wrong = [key for key, kind in INDEX.items() if not isinstance(index.get(key), kind)]
    for i, each in enumerate([] if "shards" in wrong else index["shards"]):
        if not isinstance(each, dict) or not all(isinstance(each.get(k), ENTRY[k]) for k in ENTRY):
            wrong.append(f"shards.{i}")
    return [f"{key} is missing or of another type" for key in wrong]


def unfit_of(index: Mapping[str, Any]) -> list[str]:
    """What does not fit in an index of which no part is missing."""
    faults = []
    kind = index["maps_by"].get("kind")
    if not (isinstance(kind, str) and kind in KINDS):
        faults.append(f"maps_by.kind is {kind!r}; expected {', '.join(KINDS)}")
    total = sum(each["count"] for each in index["shards"])
    if index["samples"] != total or any(each["count"] < 0 for each in index["shards"]):
        faults.append(f"samples is {index['samples']}, its shards hold {total}")
    for name, times in Counter(each["name"] for each in index["shards"]).items():
        if times > 1:
            faults.append(f"{name} is in it {times} times")
        if leads_out(name):
            faults.append(f"shard {name!r} leads out of the folder; not opened")
    for key in ("skipped", "classes"):
        if not all(isinstance(each, str) for each in index[key]):
            faults.append(f"{key} holds other things than names")
    return faults


def leads_out(name: str) -> bool:
    """Whether a shard of that name would be no file right in the folder."""
    return PurePosixPath(name).name != name or name in ("", "..") or not name.isprintable()


def read_table(folder: Path, index: Mapping[str, Any]) -> np.ndarray:
    """Where each of the folder's samples lies: rows of SAMPLE, in the order of the index's shards.

    Raises FileNotFoundError or ValueError for a table that is not that of its `index`.
    """
    path = folder / "samples.npy"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not here; {CURE}")
    with refusing(NO_ARRAY, path, what="not a plain array", cure=CURE):  # or a pickle, never read
        table = np.load(path, allow_pickle=False)
    if not isinstance(table, np.ndarray) or table.dtype != SAMPLE or table.ndim != 1:
        raise ValueError(f"{path}: not the table of samples: its columns are others; {CURE}")
    if len(table) != index["samples"]:
        raise ValueError(f"{path}: not the table of its {index['samples']} samples; {CURE}")
    counts = [shard["count"] for shard in index["shards"]]
    if not np.array_equal(table["shard"], np.repeat(np.arange(len(counts)), counts)):
        raise ValueError(f"{path}: its shards hold other counts than index.json's; {CURE}")
    sizes = np.array([shard["bytes"] for shard in index["shards"]], np.int64)[table["shard"]]
    offset, length = table["offset"], table["length"]
    inside = (offset >= 0) & (length >= 0) & (length <= sizes) & (offset <= sizes - length)
    if not inside.all():
        raise ValueError(f"{path}: sample {inside.argmin()} is outside of its shard; {CURE}")
    n_classes = len(index["classes"])
    odd = (table["label"] < -1) | (table["label"] >= max(n_classes, 1))
    if odd.any():
        label = table["label"][odd.argmax()]
        raise ValueError(f"{path}: sample {odd.argmax()} has label {label} of {n_classes}; {CURE}")
    return table
