"""Writing results: whole files or none, finite numbers under stable keys."""

import csv
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write a file or folder to; moved to `path` if all goes well.

    On any failure what was written is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield aside
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(aside, path)
    finally:
        if aside.is_dir():
            shutil.rmtree(aside)
        else:
            aside.unlink(missing_ok=True)


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write nested numbers and strings as JSON; raises ValueError on a NaN or an infinity."""
    _require_finite(tree, path.name)
    with replacing(path) as aside:
        aside.write_text(json.dumps(tree, indent=2, allow_nan=False) + "\n")


def write_rows(
    path: Path, rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str]
) -> None:
    """Write a CSV table; a row that lacks a column leaves its cell empty."""
    with replacing(path) as aside, open(aside, "w", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _require_finite(node: Any, where: str) -> None:
    if isinstance(node, Mapping):
        for key, value in node.items():
            _require_finite(value, f"{where}: {key}" if ":" not in where else f"{where}.{key}")
    elif isinstance(node, float) and not math.isfinite(node):
        raise ValueError(f"{where} is {node}; a metric must be finite")
