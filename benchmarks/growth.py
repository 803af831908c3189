"""Measure what grows with the number of images: start-up at ImageNet's size, memory of stages.

    PYTHONPATH=src python benchmarks/growth.py

Linux, from the project's root. Prints Markdown and leaves with status 1 if a limit is passed; takes
some minutes and 1 GB under the temporary folder. All data are made up: many images, but tiny ones.

Start-up: a list and shards of 1.3 million images are opened and the first batch of the training
order is drawn; then two forked workers read samples. Counted is what this adds to the memory of
a process that has imported PyTorch and, of a worker, what it shares with nobody. The libraries take
0.3 to 0.5 GB before that, which depends on how PyTorch was built.

Growth: each stage runs on few and on ten times as many images. Counted is the peak of memory that
is not a file's, so what is mapped from a file is left out. It is read every 5 ms: a shorter peak
may be missed. Some MB are passed over: labels and row numbers, some tens of bytes an image, show in
a process that is itself no more than Python. A block of bounded size that few images do not fill
is passed over, too.
"""

import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from ratios import machine
from torch.utils.data import DataLoader, Dataset

from attnlabels.images.folder import STRINGS, Manifest, read_manifest, write_manifest
from attnlabels.models.encoder import Encoder
from attnlabels.models.files import write_weights
from attnlabels.pipeline.params import read
from attnlabels.shards.shards import Sample, Shards, write_shards
from attnlabels.teachers.network import Teacher
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA
from attnlabels.training.order import Batches

N_IMAGENET, N_SHARD, N_CLASSES = 1_300_000, 1000, 1000
BATCH, N_READ = 512, 40  # batches that the workers read
LIMIT_S, LIMIT_MB = 5.0, 500.0
FEW, MANY = 10_000, 100_000
LIMIT_GROWTH, GRAIN_MB = 1.05, 8.0
BLOCK_MB = {"score_retrieval": 64.0}  # of similarities, which few images do not fill
SRC = Path(__file__).resolve().parents[1] / "src"
TEACHER = {"taps": [3], "pool_stride": 1, "output": "tanh_half"}
ENCODER = {
    "backbone": "resnet10",
    "width": 8,
    "stem": "imagenet",
    "taps": "stages",
    "zero_init": False,
}
SIDE = 32  # px


class Start(NamedTuple):
    """Seconds to open something and MB before, in addition and of a worker's own."""

    seconds: float
    libraries_mb: float
    data_mb: float
    worker_mb: float


def main() -> None:
    if not Path("/proc/self/smaps_rollup").is_file() or not Path("params.yaml").is_file():
        raise SystemExit("benchmarks/growth.py: run it on Linux, from the project's root")
    tree = small_params(read())
    print(machine(), end="\n\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        starts = start_up(Path(folder))
        print(start_table(starts), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        peaks = growth(Path(folder), tree)
        print("", growth_table(peaks), sep="\n")
    slow = any(
        seconds > LIMIT_S or max(data, worker) > LIMIT_MB
        for seconds, _, data, worker in starts.values()
    )
    if slow or any(many > limit_mb(name, few) for name, (few, many) in peaks.items()):
        raise SystemExit(1)


def limit_mb(name: str, few: float) -> float:
    """What a stage may take for many images that takes `few` MB for few."""
    return max(LIMIT_GROWTH * few, few + GRAIN_MB) + BLOCK_MB.get(name, 0.0)


def start_up(root: Path) -> dict[str, Start]:
    """What it takes to open each."""
    write_manifest(root / "train.csv", listed(N_IMAGENET, n_classes=N_CLASSES))
    write_sparse_shards(root / "shards", N_IMAGENET)
    found = {}
    for name, measure, path in (
        ("list of images", start_list, root / "train.csv"),
        ("shards, first batch of the order", start_shards, root / "shards"),
    ):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            found[name] = fresh.submit(measure, path).result()
    return found


def start_list(path: Path) -> Start:
    start, libraries_mb = time.monotonic(), own_mb()
    manifest = read_manifest(path)
    seconds = time.monotonic() - start
    indices = np.arange(len(manifest.paths))  # all, as whatever is touched may be copied
    worker_mb = read_all(Reader(lambda i: len(manifest.paths[i])), indices)
    return Start(seconds, libraries_mb, own_mb() - libraries_mb, worker_mb)


def start_shards(folder: Path) -> Start:
    start, libraries_mb = time.monotonic(), own_mb()
    shards = Shards(folder)
    order = iter(Batches(len(shards), batch_size=BATCH, epochs=100, seed=0, start=1))
    some = [index for _, index in next(order)]
    seconds = time.monotonic() - start
    some += [index for batch in islice(order, N_READ - 1) for _, index in batch]
    worker_mb = read_all(Reader(lambda i: shards[i]["label"]), np.array(some))
    return Start(seconds, libraries_mb, own_mb() - libraries_mb, worker_mb)


class Reader(Dataset[int]):
    def __init__(self, read_one: Callable[[int], int]) -> None:
        self.read_one = read_one

    def __getitem__(self, index: int) -> int:
        return self.read_one(index)


def read_all(reader: Reader, indices: np.ndarray) -> float:
    """Read `indices` with two workers; MB of the larger one's own at the end."""
    loader: DataLoader[Any] = DataLoader(
        reader,
        batch_sampler=np.array_split(indices, len(indices) // BATCH),
        num_workers=2,
        multiprocessing_context="fork",
        persistent_workers=True,  # or they would be gone when they are measured
    )
    iterator = iter(loader)
    for _ in iterator:
        pass
    workers = [Path(f"/proc/{each.pid}/smaps_rollup") for each in iterator._workers]
    return max(field_mb(each, "Private_Dirty") for each in workers)


def own_mb() -> float:
    """What of this process is no file's."""
    return field_mb(Path("/proc/self/smaps_rollup"), "Anonymous")


def growth(root: Path, tree: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Peak MB of each stage on few and on many images."""
    peaks: dict[str, list[float]] = {}
    for n in (FEW, MANY):
        folder = root / str(n)
        folder.mkdir()
        (folder / "params.yaml").write_text(json.dumps(tree))
        write_world(folder, n)
        for name, words in STAGES.items():
            peaks.setdefault(name, []).append(peak_mb(name, words.split(), folder))
    return {name: (few, many) for name, (few, many) in peaks.items()}


STAGES = {
    "label_images": "teacher.safetensors images list.csv people labels labels.npz",
    "evaluate_teacher": "teacher.safetensors people few scores.csv examples.npz teacher.json",
    "extract_features": (
        "student.safetensors images list.csv few_images few.csv corrupted cifar corrupted out"
    ),
    "probe_linear": "run 0 features probe.npz probe.json",
    "score_robustness": "run 0 features probe.npz robustness.json",
    "score_retrieval": "run 0 features curves.csv retrieval.json",
}


def peak_mb(name: str, words: list[str], folder: Path) -> float:
    """Run a stage in `folder`; the largest size of its process."""
    environment = {**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"}
    with (folder / f"{name}.log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, str(SRC / f"{name}.py"), *words],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
        status, peak = Path(f"/proc/{process.pid}/status"), 0.0
        while process.poll() is None:
            peak = max(peak, field_mb(status, "RssAnon"))
            time.sleep(0.005)
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"{name} failed:\n{log.read()[-2000:]}")
    return peak


def field_mb(path: Path, field: str) -> float:
    """A size that the kernel reports; 0 for a process that has just ended."""
    found = re.search(rf"^{field}:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    return int(found[1]) / 1e3 if found else 0.0


def small_params(tree: dict[str, Any]) -> dict[str, Any]:
    """The parameters, with sizes at which the number of images is all that can be seen."""
    tree["label_images"] |= {
        "map_size": 8,
        "maximum_points": 4,
        "workers": 0,
        "precision": "fp32",
        "batch_size": 64,
        "examples": 2,
    }
    tree["evaluate_teacher"] |= {"splits": 1, "examples": 2}
    tree["extract_features"] |= {"workers": 0, "batch_size": 256, "precision": "fp32"}
    arrays = {"layout": "arrays", "path": "corrupted", "watch": "corrupted"}
    tree["benchmarks"] = {"imagenet_c": arrays, "cifar10_c": arrays}
    tree["probe_linear"] |= {"l2_times_n": [10], "tolerance": 1e-3}
    tree["score_retrieval"] |= {"queries": 0.001, "corrupted": "whole_set"}
    return tree


def write_world(root: Path, n: int) -> None:
    """All inputs of the stages: `n` of what they are measured on, a few of the rest."""
    torch.manual_seed(0)
    teacher = {
        "teacher": TEACHER,
        "image_size": [SIDE, SIDE],
        "sigma_px": [1.0, 1.0],
        "fitted_sigma_px": [1.0, 1.0],
    }
    write_weights(root / "teacher.safetensors", Teacher(**TEACHER), teacher)  # type: ignore
    student = {"encoder": ENCODER, "image_size": SIDE, "eval_crop": 1.0}
    module = torch.nn.ModuleDict({"encoder": Encoder(**ENCODER)})  # type: ignore[arg-type]
    write_weights(root / "student.safetensors", module, student)
    write_images(root / "images", root / "list.csv", n)
    write_images(root / "few_images", root / "few.csv", 20)
    write_people(root / "people", n)
    write_people(root / "few", 20)
    write_features(root / "features", n)
    write_arrays(root)


def listed(n: int, *, n_classes: int) -> Manifest:
    """A list of images named as ImageNet's."""
    labels = np.arange(n) * n_classes // n
    names = [f"n{label:08d}/n{label:08d}_{i}.JPEG" for i, label in enumerate(labels)]
    return Manifest(
        paths=np.array(names, STRINGS),
        labels=labels,
        sizes=np.full(n, 110_000),
        classes=[f"n{label:08d}" for label in range(n_classes)],
    )


def noise(seed: int) -> bytes:
    """A picture file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return cv2.imencode(".png", cv2.GaussianBlur(pixels, (0, 0), 3))[1].tobytes()


def write_images(folder: Path, path: Path, n: int) -> None:
    """`n` names of ten pictures, which take no room."""
    manifest = listed(n, n_classes=10)  # a file may have 65,000 names
    folder.mkdir()
    for label, name in enumerate(manifest.classes):
        (folder / name).mkdir()
        (folder / f"{name}.png").write_bytes(noise(label))
    for name in manifest.paths:
        os.link(folder / f"{name.split('/')[0]}.png", folder / name)
    write_manifest(path, manifest)


def sample(key: str, *, side: int, image: bytes) -> Sample:
    """Where two people looked in a picture."""
    map = np.zeros((side, side), np.float32)
    map[1:4, 1:4] = 1
    points = np.array([[1, 1], [2, 2], [2, 3], [5, 5]])
    return Sample(
        key=key,
        image=image,
        map=map,
        points=points,
        observers=np.array([0, 0, 1, 1]),
        label=-1,
        grid=(side, side),
        image_size=(SIDE, SIDE),
        source="made_up",
        name=key,
    )


def write_people(folder: Path, n: int) -> None:
    drawn = {"kind": "human", "sigma_px": 1.0, "sigma_width": 8, "count": "binary"}
    image = noise(1)
    samples = (sample(f"{i:08d}", side=8, image=image) for i in range(n))
    write_shards(folder, samples, maximum_count=N_SHARD, maps_by=drawn, classes=[])


def write_sparse_shards(folder: Path, n: int) -> None:
    """Shards of `n` samples which are all the one that each shard begins with."""
    one = folder.with_name("one")
    samples = [sample("one", side=8, image=noise(1))]
    write_shards(one, samples, maximum_count=1, maps_by={"kind": "human"}, classes=[])
    index, tar = json.loads((one / "index.json").read_text()), (one / "shard-000000.tar")
    table = np.repeat(np.load(one / "samples.npy"), n)
    table["shard"] = np.arange(n) // N_SHARD
    shards = [
        {**index["shards"][0], "name": f"shard-{k:06d}.tar", "count": min(N_SHARD, n - k * N_SHARD)}
        for k in range(-(-n // N_SHARD))
    ]
    folder.mkdir()
    for shard in shards:
        os.link(tar, folder / shard["name"])
    np.save(folder / "samples.npy", table)
    (folder / "index.json").write_text(json.dumps({**index, "samples": n, "shards": shards}))


def write_features(root: Path, n: int) -> None:
    """Features of ten classes; benchmarks share one file for all severities."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, n)
    x = (rng.normal(size=(10, 64))[labels] + rng.normal(size=(n, 64))).astype(np.float16)
    for name in (
        "imagenet_train",
        "imagenet_val",
        "imagenet_c",
        "cifar10_train",
        "cifar10_test",
        "cifar10_c",
    ):
        (root / name).mkdir(parents=True)
        np.save(root / name / "labels.npy", labels)
        np.save(root / name / "features.npy", x)
        about = {"generated": 1, "corruptions": [*CORRUPTIONS, *EXTRA]}
        (root / name / "set.json").write_text(json.dumps(about))
        if name.endswith("_c"):
            for part in (f"{each}-{k}" for each in (*CORRUPTIONS, *EXTRA) for k in range(1, 6)):
                os.link(root / name / "features.npy", root / name / f"{part}.npy")


def write_arrays(root: Path) -> None:
    """CIFAR-10 and corrupted images, 20 of each, classes as in few.csv, whose they are too."""
    (root / "corrupted").mkdir()
    labels = np.arange(20) * 10 // 20
    np.save(root / "corrupted/labels.npy", np.tile(labels, 5))
    np.save(root / "corrupted/one.npy", np.zeros((100, SIDE, SIDE, 3), np.uint8))
    for name in CORRUPTIONS:
        os.link(root / "corrupted/one.npy", root / f"corrupted/{name}.npy")
    (root / "cifar").mkdir()
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        batch = {"data": np.zeros((20, 3072), np.uint8), "labels": labels.tolist()}
        (root / "cifar" / name).write_bytes(pickle.dumps(batch))


def start_table(starts: dict[str, Start]) -> str:
    lines = [
        f"| {N_IMAGENET:,} images | seconds | MB, libraries | MB, data | MB, a worker's own |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, each in starts.items():
        sizes = " | ".join(f"{size:.0f}" for size in each[1:])
        lines.append(f"| {name} | {each.seconds:.2f} | {sizes} |")
    return "\n".join([*lines, f"| limit | {LIMIT_S:g} | | {LIMIT_MB:g} | {LIMIT_MB:g} |"])


def growth_table(peaks: dict[str, tuple[float, float]]) -> str:
    lines = [
        f"| stage | MB at {FEW:,} images | MB at {MANY:,} | limit | growth |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, (few, many) in peaks.items():
        limit = limit_mb(name, few)
        lines.append(f"| {name} | {few:.0f} | {many:.0f} | {limit:.0f} | {many / few:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
