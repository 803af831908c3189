"""How much faster clips come to batches from shards than from folders of frames.

    python benchmarks/clips.py [CLIPS] [FRAMES] [SIDE]

Writes so many clips of noise (600 of 8 frames of 40 px) both ways, and reads all of them in a
random order into batches of 16, once to warm up and then five times by turns. Prints the least
seconds of each way, and their ratio.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from attnlabels.shards.clips import Clip, Clips, write_clips
from attnlabels.tasks.frames import list_clips, read_frames

BATCH, TIMES = 16, 5


def main(count: int = 600, n_frames: int = 8, side: int = 40) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, count, n_frames, side)
        paths, clips = [*list_clips(root / "frames").values()], Clips(root / "shards")
        ways = {
            "frames": lambda i: read_frames(paths[i]),
            "shards": lambda i: clips[i]["frames"],
        }
        found: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(1 + TIMES):
            for way, read in ways.items():
                found[way].append(batches(read, count, seed=turn))
        least = {way: min(seconds[1:]) for way, seconds in found.items()}
        for way, seconds in least.items():
            print(f"{way}: {seconds:.3f} s, {count / seconds:,.0f} clips a second")
        print(f"ratio: {least['frames'] / least['shards']:.2f}")


def write(root: Path, count: int, n_frames: int, side: int) -> None:
    """The same clips as folders of PNGs and as shards."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(count):
        frames = rng.integers(0, 256, (n_frames, side, side, 3), np.uint8)
        name = f"class/clip{i:05d}"
        (root / "frames" / name).mkdir(parents=True)
        for t, frame in enumerate(frames):
            cv2.imwrite(str(root / "frames" / name / f"{t:03d}.png"), frame[..., ::-1])
        map, points = np.ones((side, side), np.float32), np.zeros((1, 3), np.int64)
        made.append(
            Clip(
                key=f"clip{i:05d}",
                frames=frames,
                map=map,
                points=points,
                label=0,
                source="noise",
                name=name,
            )
        )
    maps_by = {"kind": "human"}
    write_clips(root / "shards", made, maximum_count=500, maps_by=maps_by, classes=["class"])


def batches(read: Callable[[int], np.ndarray], count: int, *, seed: int) -> float:
    """Seconds of reading all into batches, in a random order."""
    order = np.random.default_rng(seed).permutation(count)
    begun = time.perf_counter()
    for first in range(0, count, BATCH):
        np.stack([read(int(i)) for i in order[first : first + BATCH]])
    return time.perf_counter() - begun


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
