"""Time the extraction of frozen features against the encoder's forward alone, on one thread.

    PYTHONPATH=src python benchmarks/features.py IMAGES COUNT ROUNDS

IMAGES is a folder of class folders; COUNT of its images are encoded, in turns, by

- what `evaluate` does: read, decode, crop and resize in a worker, encode, keep the features;
- the forward of the same encoder alone, on batches that are ready.

The encoder is a ResNet-50 of random weights at 224 pixels. All is processor time, as others may be
using the machine: extraction has two cores, one for its own process and one for the worker, and the
busier of the two sets its rate. Leaves with status 1 if the limit is missed. 256 images take a
minute a round.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from ratios import Bound, report

from attnlabels.evaluation.encoders import Shown, open_encoder
from attnlabels.evaluation.extraction import encode_squares, kept_features
from attnlabels.images.folder import STRINGS, Manifest
from attnlabels.models.encoder import Encoder
from attnlabels.models.files import write_weights
from attnlabels.testsets.image_sets import Squares, listed_images

LEAST_OF_FORWARD = 0.8
BATCH = 32
ENCODER = {
    "backbone": "resnet50",
    "width": 64,
    "stem": "imagenet",
    "taps": "stages",
    "zero_init": False,
}


def main() -> None:
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    images, count, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        report(*measure(images, count, rounds=rounds, size=224, scratch=Path(folder)))


def measure(
    images: Path, count: int, *, rounds: int, size: int, scratch: Path
) -> tuple[dict[str, list[float]], list[Bound]]:
    """Seconds by way and round, and the ratio; `scratch` is an empty folder."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    torch.manual_seed(0)
    config = {"encoder": ENCODER, "image_size": size, "eval_crop": 0.875}
    weights = scratch / "encoder.safetensors"
    write_weights(weights, torch.nn.ModuleDict({"encoder": Encoder(**ENCODER)}), config)
    source = open_encoder(
        str(weights),
        weights=None,
        shown=Shown(),
        device=torch.device("cpu"),
        precision="fp32",
    )
    found = listed_images("images", images, take(images, count))
    squares = Squares(found, size=size, crop=0.875, batch_size=BATCH)
    batches = [torch.from_numpy(squares[i][1]) for i in range(len(squares))]
    calls = iter(range(sys.maxsize))

    def extract() -> None:
        kept_features(
            found,
            lambda images: encode_squares(squares, source.encode, workers=1, pin_memory=False),
            folder=scratch / str(next(calls)),
        )

    def forward() -> None:
        for batch in batches:
            source.encode(batch)

    seconds: dict[str, list[float]] = {
        f"extraction of {count} images": [],
        "its worker": [],
        "forward alone": [],
    }
    for measured in range(-1, rounds):
        own, worker = clocks(extract)
        alone, _ = clocks(forward)
        if measured >= 0:
            for values, value in zip(seconds.values(), (own, worker, alone)):
                values.append(value)
    share = [alone / max(own, worker) for own, worker, alone in zip(*seconds.values())]
    return seconds, [Bound("extraction, of the forward's rate", share, LEAST_OF_FORWARD, True, "")]


def clocks(function: Callable[[], None]) -> tuple[float, float]:
    """Processor seconds of this process, and of workers that have ended meanwhile."""
    own, ended = time.process_time(), os.times()
    function()
    after = os.times()
    workers = after.children_user + after.children_system
    return time.process_time() - own, workers - ended.children_user - ended.children_system


def take(images: Path, count: int) -> Manifest:
    """The list of `count` images, from all over the folder."""
    paths = sorted(str(path.relative_to(images)) for path in images.glob("*/*.JPEG"))
    if len(paths) < count:
        raise SystemExit(f"{images}: {len(paths)} images */*.JPEG, {count} asked for; ask for less")
    paths = [paths[i * len(paths) // count] for i in range(count)]
    nothing = np.zeros(count, np.int64)
    return Manifest(paths=np.array(paths, STRINGS), labels=nothing, sizes=nothing, classes=["all"])


if __name__ == "__main__":
    main()
