"""Time the labelling of photographs against the two limits below, each process on one thread.

    PYTHONPATH=src python benchmarks/labelling.py TEACHER IMAGES COUNT ROUNDS

TEACHER is one that was trained, as `dvc repro` leaves in data/teacher.safetensors, as the number of
points depends on it. IMAGES is a folder of class folders; COUNT of its images are labelled, in
turns, by

- the plain loop, image by image: decode, the teacher as it was trained, fixations in numpy, tar;
- `src/label_images.py`, with the paper's parameters but for batches that suit a CPU's cache;
- the teacher's forward alone, batch norm folded, on batches that are ready.

All is processor time, as others may be using the machine. The stage is faster than the loop by
all its time, with that of the worker that decodes: so it would be on one core. Beside the forward
it has three cores, one each for the teacher's thread, the one that writes, and the worker; the
busiest of these sets its rate. Leaves with status 1 if a limit is missed. 1024 images take some 20
seconds a round.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from ratios import Bound, report
from torchvision.transforms.functional import to_tensor

import label_images
from attnlabels.images.decoding import decode, resize
from attnlabels.images.folder import STRINGS, Manifest, write_manifest
from attnlabels.images.tree import ImageFiles
from attnlabels.labelling.batches import cut
from attnlabels.labelling.labeller import Manner
from attnlabels.labelling.photographs import Photographs, collate, key_of
from attnlabels.pipeline.params import load, read
from attnlabels.processes.loading import as_input
from attnlabels.shards.shards import Sample, write_shards
from attnlabels.teachers.trained import Trained, read_trained

LEAST_FASTER = 2.0
LEAST_OF_FORWARD = 0.8
PAPER = Path(__file__).resolve().parents[1] / "params" / "paper.yaml"
# A batch of 64 is slower by half on a CPU: its maps do not fit into the cache.
FOR_A_CPU = {"batch_size": 16, "processes": 1, "workers": 1, "shard_size": 256, "examples": 1}
Timed = dict[str, list[float]]


def main() -> None:
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    teacher, images = (Path(each).resolve() for each in sys.argv[1:3])
    count, rounds = map(int, sys.argv[3:])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["ATTNLABELS_SCRATCH"] = "scratch"
        report(*measure(teacher, images, count, rounds=rounds))


def measure(teacher: Path, images: Path, count: int, *, rounds: int) -> tuple[Timed, list[Bound]]:
    """Seconds by way and round, and the two ratios; works in the current folder."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    tree = {"threads": 1, "label_images": read(PAPER)["label_images"] | FOR_A_CPU}
    Path("params.yaml").write_text(json.dumps(tree))
    p = load(label_images.LabelImages, "label_images")
    listed = take(images, count)
    write_manifest(Path("images.csv"), listed)
    trained, labeller = read_trained(teacher), label_images.build_labeller(teacher, p)
    write_shards(
        Path("people"),
        by_loop(trained, images, listed, [0], manner=labeller.manner),
        maximum_count=1,
        maps_by={"kind": "human"},
        classes=listed.classes,
    )

    folded = labeller.teacher.to(memory_format=torch.channels_last)
    photographs = Photographs(ImageFiles(images, listed), labeller.image_size, shape="teacher")
    batches = [
        as_input(collate([photographs[i] for i in rows]).groups[0].pixels)
        for rows in cut(range(min(count, 4 * p.batch_size)), p.batch_size)
    ]

    def loop() -> None:
        write_shards(
            Path("loop"),
            by_loop(trained, images, listed, range(count), manner=labeller.manner),
            maximum_count=p.shard_size,
            maps_by={"kind": "teacher"},
            classes=listed.classes,
        )
        shutil.rmtree("loop")

    def stage() -> None:
        names = (teacher, images, "images.csv", "people", "labels", "examples.npz")
        label_images.main(*map(Path, names))

    @torch.no_grad()
    def forward() -> None:
        for i in range(len(cut(range(count), p.batch_size))):
            folded(batches[i % len(batches)])

    ways = {"plain loop": loop, "stage": stage, "forward alone": forward}
    seconds = time_in_turns(ways, rounds=rounds)
    loops, stages, forwards = (seconds[name] for name in ways)
    parts = ("teacher's thread", "thread that writes", "worker that decodes")
    every = {
        f"plain loop, {count} images": [sum(each) for each in loops],
        "stage": [sum(each) for each in stages],
        **{f"stage, {part}": [each[i] for each in stages] for i, part in enumerate(parts)},
        f"forward alone, batches of {p.batch_size}": [sum(each) for each in forwards],
    }
    faster = [sum(loop) / sum(stage) for loop, stage in zip(loops, stages)]
    share = [sum(forward) / max(stage) for forward, stage in zip(forwards, stages)]
    return every, [
        Bound("stage, times as fast as the plain loop", faster, LEAST_FASTER, True, ""),
        Bound("stage, of the forward's rate", share, LEAST_OF_FORWARD, True, ""),
    ]


def take(images: Path, count: int) -> Manifest:
    """The list of `count` images, from all over the folder."""
    paths = sorted(str(path.relative_to(images)) for path in images.glob("*/*.JPEG"))
    if len(paths) < count:
        raise SystemExit(f"{images}: {len(paths)} images */*.JPEG, {count} asked for; ask for less")
    paths = [paths[i * len(paths) // count] for i in range(count)]
    classes = sorted({path.split("/")[0] for path in paths})
    labels = np.array([classes.index(path.split("/")[0]) for path in paths])
    sizes = np.ones_like(labels)
    return Manifest(paths=np.array(paths, STRINGS), labels=labels, sizes=sizes, classes=classes)


def time_in_turns(
    ways: dict[str, Callable[[], None]], *, rounds: int
) -> dict[str, list[tuple[float, float, float]]]:
    """Processor seconds of each way and round, after one that is not measured.

    Of the threads that the way started, of this one, and of workers, which have ended.
    """
    seconds: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for measured in range(-1, rounds):
        for name, way in ways.items():
            before = clocks()
            way()
            threads, this, workers = (b - a for a, b in zip(before, clocks()))
            if measured >= 0:
                seconds[name].append((threads, this, workers))
    return seconds


def clocks() -> tuple[float, float, float]:
    this, ended = time.thread_time(), os.times()
    workers = ended.children_user + ended.children_system
    return time.process_time() - this, this, workers


@torch.no_grad()
def by_loop(
    trained: Trained,
    images: Path,
    listed: Manifest,
    rows: Sequence[int],
    *,
    manner: Manner,
) -> "list[Sample]":
    """Samples as one would first write it."""
    samples = []
    for i in rows:
        name = str(listed.paths[i])
        data = (images / name).read_bytes()
        image = decode(data, name=name)
        pixels = to_tensor(resize(image, *trained.image_size))
        size = (manner.map_size, manner.map_size)
        map = F.interpolate(trained.teacher(pixels[None])[None], size, mode="area")[0, 0].numpy()
        samples.append(
            Sample(
                key=key_of(name.rpartition(".")[0]),
                image=data,
                map=map,
                points=fixations(map, manner),
                observers=None,
                label=int(listed.labels[i]),
                grid=size,
                image_size=(image.shape[0], image.shape[1]),
                source="teacher",
                name=name,
            )
        )
    return samples


def fixations(map: np.ndarray, manner: Manner) -> np.ndarray:
    """Pseudo fixations: the highest point, minus a Gaussian over the whole map, and again."""
    left = map.astype(np.float64)
    least, (down, across) = manner.threshold * left.max(), manner.sigma
    rows, cols = np.indices(left.shape)
    points: list[tuple[int, int]] = []
    while len(points) < manner.maximum_points:
        y, x = divmod(int(left.argmax()), left.shape[1])
        if left[y, x] < least:
            break
        points.append((y, x))
        blob = np.exp(-(((rows - y) / down) ** 2 + ((cols - x) / across) ** 2) / 2)
        left -= left[y, x] * blob
    return np.array(points)


if __name__ == "__main__":
    main()
