"""What storing an attention map costs: decode time, bytes and KLD, by bits and size of its PNG.

    PYTHONPATH=src taskset -c 1 python benchmarks/stored_map.py

The maps are densities of 40 points at 224 x 224, drawn from a fixed seed, with the blur of a 19 px
deviation at SALICON's 640 px. Each is reduced by area means, stored, read, and enlarged bilinearly;
KLD is of that against the float map, target first. Prints Markdown. The shards hold 16 bits at the
size that a stage's `map_size` says (a quarter of 224 in params/paper.yaml).
"""

import sys
import time

import cv2
import numpy as np
from ratios import machine

SIZE = 224
SHARES = {"full": 1, "half": 2, "quarter": 4}
DEPTHS = {8: np.uint8, 16: np.uint16}
N_MAPS = 40
N_POINTS = 40
SIGMA_PX = 19 * SIZE / 640
REPETITIONS = 25


def main() -> None:
    cv2.setNumThreads(0)
    maps = [density(np.random.default_rng(i)) for i in range(N_MAPS)]
    print(machine(), end="\n\n")
    print("| bits | size | bytes | decode, µs: median [min, max] | KLD lost: mean | max |")
    print("|---:|---|---:|---:|---:|---:|")
    stored = {
        (bits, name): [encode(map, bits=bits, side=SIZE // share) for map in maps]
        for bits in DEPTHS
        for name, share in SHARES.items()
    }
    spent: dict[tuple[int, str], list[float]] = {form: [] for form in stored}
    for _ in range(REPETITIONS):  # by turns, so that a busy neighbour slows all of them
        for form, encoded in stored.items():
            start = time.thread_time()
            for each in encoded:
                decode(each)
            spent[form].append(1e6 * (time.thread_time() - start) / N_MAPS)
    for (bits, name), encoded in stored.items():
        lost = [
            kld(map, cv2.resize(decode(each), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR))
            for map, each in zip(maps, encoded)
        ]
        times = np.array(spent[bits, name])
        print(
            f"| {bits} | {name}, {SIZE // SHARES[name]} | {np.mean([*map(len, encoded)]):.0f} "
            f"| {np.median(times):.0f} [{times.min():.0f}, {times.max():.0f}] "
            f"| {np.mean(lost):.1e} | {np.max(lost):.1e} |"
        )


def density(rng: np.random.Generator) -> np.ndarray:
    """A blurred map of points about two centres of interest, its largest value 1."""
    centres = rng.uniform(0.2, 0.8, (2, 2))[rng.integers(2, size=N_POINTS)]
    shares = np.clip(centres + rng.normal(0, 0.12, (N_POINTS, 2)), 0, 0.999)
    counts = np.zeros((SIZE, SIZE), np.float32)
    np.add.at(counts, tuple((shares * SIZE).astype(int).T), 1)
    map = cv2.GaussianBlur(counts, (0, 0), SIGMA_PX)
    return map / map.max()


def encode(map: np.ndarray, *, bits: int, side: int) -> bytes:
    """As shards.encode_map does at 16 bits."""
    small = cv2.resize(map, (side, side), interpolation=cv2.INTER_AREA)
    levels = np.rint(small * ((2**bits - 1) / float(small.max()))).astype(DEPTHS[bits])
    return cv2.imencode(".png", levels)[1].tobytes()


def decode(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED).astype(np.float32)


def kld(target: np.ndarray, found: np.ndarray) -> float:
    """Divergence of the normalised maps in nats; an empty pixel of `found` counts as 1e-12."""
    p, q = (each.astype(np.float64) / each.sum(dtype=np.float64) for each in (target, found))
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / np.maximum(q[seen], 1e-12))).sum())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        raise SystemExit("benchmarks/stored_map.py takes no arguments")
    main()
