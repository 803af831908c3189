"""Time the reader of TFRecord and the way from ClickMe's records to shards, by the limits below.

    python benchmarks/clickme_records.py

Small records: 10,000 of a picture of 40 px with its map, every checksum compared, against copying
the file and against the package `tfrecord`, which compares none. Shards: 3,000 records of pictures
of 256 px, as ClickMe's are, each checked, blurred, reduced and written as a sample, by one process
and with workers beside it, against decoding the JPEGs of the same pictures and maps, by OpenCV in
one process, and no more. In turns, each process of one thread, by the clock on the wall: give the
machine nothing else to do. Leaves with status 1 if a limit is missed. Two minutes on two cores.
"""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from ratios import Bound, in_turns, ratios, report
from tfrecord.reader import tfrecord_iterator

from attnlabels.clickmaps.samples import Maps, as_samples, draw_all
from attnlabels.clickmaps.sources import Manner, RecordedImages
from attnlabels.clickmaps.tfrecord import Records, encode_example, parse_example, write_records
from attnlabels.pipeline.memory import keep_freed_memory
from attnlabels.shards.shards import write_shards

SMALL, SMALL_SIDE = 10_000, 40
LARGE, LARGE_SIDE = 3_000, 256
WORKERS = 2  # beside the process that writes
MAP_SIZE = (56, 56)
DIFFERENT = 50  # pictures, over and over
ROUNDS = 7
SHARDS = {"maximum_count": 1_000, "maps_by": {"kind": "players"}, "classes": ["a"]}


def main() -> None:
    cv2.setNumThreads(0)
    keep_freed_memory()  # as the stage does
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, large = folder / "small.tfrecords", folder / "large.tfrecords"
        write_records(small, payloads(SMALL, SMALL_SIDE))
        write_records(large, payloads(LARGE, LARGE_SIDE))
        encoded = [parse_example(each) for each in Records(large)]
        fresh = (folder / str(k) for k in count())
        seconds = in_turns(
            {
                f"reading {SMALL:,} small records": lambda: read(small),
                "the same, and what each holds": lambda: parse(small),
                "copying their file": lambda: shutil.copyfile(small, folder / "copy"),
                "package tfrecord, checksums not compared": lambda: read_by_package(small),
                f"{LARGE:,} records to shards, no worker": lambda: to_shards(large, next(fresh), 0),
                f"the same, {WORKERS} workers": lambda: to_shards(large, next(fresh), WORKERS),
                "decoding their JPEGs": lambda: decode_all(encoded),
            },
            rounds=ROUNDS,
            clock=time.perf_counter,  # workers help
        )
    reading, *_, shards, decoding = seconds.values()
    rates = [SMALL / each for each in reading]
    bounds = [
        Bound("small records a second", rates, 30_000, True, ""),
        Bound(
            f"records to shards, {WORKERS} workers, of the decoding rate",
            ratios(decoding, shards),
            0.8,
            True,
            "",
        ),
    ]
    report(seconds, bounds, of="on the wall")


def payloads(n: int, side: int) -> Iterator[bytes]:
    """Examples in Harmonization's form, of smooth pictures and maps with some noise."""
    rng = np.random.default_rng(0)
    jpegs = [(jpeg(rng, side, channels=3), jpeg(rng, side, channels=1)) for _ in range(DIFFERENT)]
    for i in range(n):
        image, heat = jpegs[i % DIFFERENT]
        label = np.array([0], np.int64)
        yield encode_example({"image": [image], "heatmap": [heat], "label": label})


def jpeg(rng: np.random.Generator, side: int, *, channels: int) -> bytes:
    coarse = rng.integers(0, 256, (8, 8, channels), np.uint8)
    smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    noisy = smooth.reshape(side, side, channels) + rng.normal(0, 8, (side, side, channels))
    return cv2.imencode(".jpg", noisy.clip(0, 255).astype(np.uint8))[1].tobytes()


def read(path: Path) -> int:
    return sum(map(len, Records(path)))


def parse(path: Path) -> int:
    return sum(len(parse_example(each)) for each in Records(path))


def read_by_package(path: Path) -> int:
    return sum(map(len, tfrecord_iterator(str(path))))


def to_shards(path: Path, out: Path, workers: int) -> None:
    manner = Manner(broken="stop", outside="refuse", count="binary", filters=None)
    maps = Maps(blur="box_49", size=MAP_SIZE, share=1.0, source="tfrecord")
    images = RecordedImages([path], n_classes=1, manner=manner)
    drawn = draw_all(images, maps, workers=workers)
    told = {"unpainted": "keep", "broken": "stop", "where": str(path)}
    write_shards(out, as_samples(drawn, Counter(), [], **told), **SHARDS)


def decode_all(examples: list[dict]) -> None:
    for each in examples:
        cv2.imdecode(np.frombuffer(each["image"][0], np.uint8), cv2.IMREAD_COLOR_RGB)
        cv2.imdecode(np.frombuffer(each["heatmap"][0], np.uint8), cv2.IMREAD_GRAYSCALE)


if __name__ == "__main__":
    main()
