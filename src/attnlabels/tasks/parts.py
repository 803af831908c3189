"""Fine-grained classes: photographs whose classes differ in a small part."""

from pathlib import Path

import numpy as np

from attnlabels.shards.shards import Shards
from attnlabels.tasks.classification import answer, head, loss, scores
from attnlabels.tasks.examples import Examples
from attnlabels.tasks.stills import read_stills

__all__ = ["SHOWN", "answer", "head", "loss", "read", "scores"]

SHOWN: tuple[str, ...] = ("image",)


def read(folder: Path, *, shown: str, size: int, masks: Path | None) -> Examples:
    """The photographs of shards with their classes."""
    shards = Shards(folder)
    if (shards.labels < 0).any():
        raise ValueError(f"{folder}: images without a class")
    target, n = shards.labels.astype(np.int64), len(shards.classes)
    return read_stills(folder, size=size, target=target, n_outputs=n)
