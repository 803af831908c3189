"""Time the way from shards to training views, on one core, against lightly and torchvision.

    pip install --no-deps lightly && taskset -c 1 python benchmarks/views.py JPEGS

JPEGS is a folder of photographs (subfolders count), of which 40 are taken evenly. Lightly starts
from encoded bytes in memory and ends at two augmented views. Ours does the same work, and then all
that a step of training needs: from the shards, a clean view, map and points besides. Plain reading
starts from files and ends at pixels and a map. All is measured in CPU time of one thread, by turns
image by image, so that a busy neighbour slows both. Prints Markdown: ratios over the repetitions,
what one core makes in a second, and the grey levels by which views from reduced decoding differ
from those of the full image, before colour. Leaves with status 1 if a bound is missed.
"""

import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from ratios import machine
from torchvision.datasets import ImageFolder

from attnlabels.images.decoding import decode, decode_reduced, reduction
from attnlabels.images.squares import resize_centre_crop
from attnlabels.shards.shards import Sample, Shards, write_shards
from attnlabels.training.samples import Augmentation, Clean, Views, make_view
from attnlabels.training.views import Drawn, draw_view

BOUNDS = {224: 3.0, 64: 2.8}
READING_BOUND = 1.3
N_IMAGES = 40
REPETITIONS = 7
# lightly's SimCLRTransform has these for its defaults.
SETTINGS: dict[str, Any] = {
    "area": (0.08, 1.0),
    "jittered": 0.8,
    "strength": 1.0,
    "hue": 0.2,
    "grey": 0.2,
    "blurred": 0.5,
}


def main(folder: Path) -> None:
    try:
        from lightly.transforms import SimCLRTransform
    except ImportError:
        raise SystemExit(
            "benchmarks/views.py: lightly is missing: pip install --no-deps lightly"
        ) from None
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not paths:
        raise SystemExit(f"benchmarks/views.py: no .jpg in {folder}")
    paths = paths[:: max(1, len(paths) // N_IMAGES)][:N_IMAGES]
    encoded = [path.read_bytes() for path in paths]
    sizes = [decode(each, name=str(path)).shape[:2] for each, path in zip(encoded, paths)]

    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        shards, files = write_sets(Path(scratch), encoded, sizes)
        for size, bound in BOUNDS.items():
            theirs = SimCLRTransform(input_size=size)
            samples = training_samples(shards, size=size)
            for what, ours in (
                (
                    "two views",
                    lambda i, k, size=size: two_views(encoded[i], sizes[i], size=size, seed=[k, i]),
                ),
                ("shards to views, clean view, map", lambda i, k, samples=samples: samples[k, i]),
            ):
                spent = seconds(
                    ours,
                    lambda i, k, theirs=theirs: theirs(
                        Image.open(io.BytesIO(encoded[i])).convert("RGB")
                    ),
                    n=len(paths),
                )
                rows.append((f"{what} at {size}, lightly's two views / ours", spent, bound))
        plain = ImageFolder(str(files / "images"))
        spent = seconds(
            lambda i, k: decode((sample := shards[i])["image"], name=sample["key"]),
            lambda i, k: (plain[i], read_map(files / "maps" / f"{i:06d}.png")),
            n=len(paths),
        )
    rows.append(("image and map, ImageFolder and PNGs / our shards", spent, READING_BOUND))
    print(machine(), ratios_table(rows), differences_table(encoded, sizes), sep="\n\n")
    if any(np.median(theirs / ours) < bound for _, (ours, theirs), bound in rows):
        raise SystemExit(1)


def seconds(
    ours: Callable[[int, int], Any], theirs: Callable[[int, int], Any], *, n: int
) -> np.ndarray:
    """CPU time of an image, the mean of all n: ours and theirs, by repetition."""
    spent = np.zeros((2, REPETITIONS + 1))
    for k in range(REPETITIONS + 1):
        for i in range(n):
            for side, function in enumerate((ours, theirs)):
                start = time.thread_time()
                function(i, k)
                spent[side, k] += (time.thread_time() - start) / n
    return spent[:, 1:]  # the first warms up


def draw_two(size: tuple[int, int], rng: np.random.Generator) -> list[Drawn]:
    return [draw_view(*size, rng=rng, **SETTINGS) for _ in range(2)]


def shortest(size: tuple[int, int], drawn: Sequence[Drawn]) -> int:
    """The shortest side of what is used: the views' crops and the whole image, the clean one."""
    return min(*size, *drawn[0].box[2:], *drawn[1].box[2:])


def training_samples(shards: Shards, *, size: int) -> Views:
    """All that the contrastive training is given of an image: views, clean view, map and points."""
    return Views(
        shards,
        np.arange(len(shards)),
        n_views=2,
        augmentation=Augmentation(**SETTINGS),
        image_size=size,
        clean=Clean(image_size=size, map_size=size // 4, crop=1.0),
        seed=0,
    )


def two_views(
    data: bytes, image: tuple[int, int], *, size: int, seed: list[int]
) -> list[np.ndarray]:
    """As attnlabels.training.samples.Views makes them."""
    drawn = draw_two(image, np.random.default_rng(seed))
    times = reduction(data, side=shortest(image, drawn), size=size)
    pixels = decode_reduced(data, size=image, reduction=times, name="image")
    return [make_view(pixels, each, size=size, reduction=times) for each in drawn]


def write_sets(
    scratch: Path, encoded: Sequence[bytes], sizes: Sequence[tuple[int, int]]
) -> tuple[Shards, Path]:
    """The images with smooth maps at a quarter of 224: as shards, and as files."""
    rng = np.random.default_rng(0)
    (scratch / "images" / "all").mkdir(parents=True)
    (scratch / "maps").mkdir()
    maps_by = {"kind": "teacher", "sha256": "0" * 64}
    samples = []
    for i, (data, size) in enumerate(zip(encoded, sizes)):
        map = cv2.GaussianBlur(rng.random((56, 56)).astype(np.float32), (0, 0), 4)
        (scratch / "images" / "all" / f"{i:06d}.jpg").write_bytes(data)
        grey = np.rint(255 * map / map.max()).astype(np.uint8)
        Image.fromarray(grey).save(scratch / "maps" / f"{i:06d}.png")
        samples.append(
            Sample(
                key=f"{i:06d}",
                image=data,
                map=map,
                points=np.zeros((1, 2), np.int64),
                observers=None,
                label=-1,
                grid=(56, 56),
                image_size=size,
                source="benchmark",
                name=f"{i:06d}.jpg",
            )
        )
    write_shards(scratch / "set", samples, maximum_count=1000, maps_by=maps_by, classes=[])
    return Shards(scratch / "set"), scratch


def read_map(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image, np.float32) / 255


def ratios_table(rows: Sequence[tuple[str, np.ndarray, float]]) -> str:
    lines = ["| what | ratio: median [min, max] | bound | ours, images/s |", "|---|---:|---:|---:|"]
    for name, (ours, theirs), bound in rows:
        found = theirs / ours
        middle = f"{np.median(found):.2f} [{found.min():.2f}, {found.max():.2f}]"
        lines.append(f"| {name} | {middle} | ≥ {bound:g} | {1 / np.median(ours):.0f} |")
    return "\n".join(lines)


def differences_table(encoded: Sequence[bytes], sizes: Sequence[tuple[int, int]]) -> str:
    """Grey levels between crops of the reduced and of the full image, and of the clean image."""
    lines = [
        "| output | decoded at | images | views: mean, max | clean: mean, max |",
        "|---:|---:|---:|---:|---:|",
    ]
    for size in BOUNDS:
        gaps: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
        for i, (data, image) in enumerate(zip(encoded, sizes)):
            drawn = draw_two(image, np.random.default_rng(i))
            times = reduction(data, side=shortest(image, drawn), size=size)
            full = decode(data, name="image")
            small = decode_reduced(data, size=image, reduction=times, name="image")
            seen = [
                crop_gap(full, small, each, image=image, size=size, times=times) for each in drawn
            ]
            clean = [resize_centre_crop(each, size=size, crop=1.0) for each in (full, small)]
            gaps.setdefault(times, []).append((np.stack(seen), cv2.absdiff(*clean)))
        for times, found in sorted(gaps.items()):
            views, cleans = (np.stack(each) for each in zip(*found))
            lines.append(
                f"| {size} | 1/{times} | {len(found)} | {views.mean():.2f}, {views.max()} "
                f"| {cleans.mean():.2f}, {cleans.max()} |"
            )
    return "\n".join(lines)


def crop_gap(
    full: np.ndarray,
    small: np.ndarray,
    drawn: Drawn,
    *,
    image: tuple[int, int],
    size: int,
    times: int,
) -> np.ndarray:
    """Between the crop of the reduced image and the same pixels of the full one, no colouring."""
    top, left, h, w = drawn.box
    bottom, right = (
        min(-(-end // times) * times, whole) for end, whole in zip((top + h, left + w), image)
    )
    top, left = top // times * times, left // times * times
    same = (top, left, bottom - top, right - left)
    plain = [
        Drawn(box=box, mirrored=False, jitter=(), grey=False, sigma_px=None)
        for box in (same, drawn.box)
    ]
    return cv2.absdiff(
        make_view(full, plain[0], size=size, reduction=1),
        make_view(small, plain[1], size=size, reduction=times),
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("python benchmarks/views.py JPEGS, a folder of photographs")
    main(Path(sys.argv[1]))
