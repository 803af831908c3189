"""The teacher beside the saliency that OpenCV computes: agreement with people, and speed.

    pip install --no-deps opencv-contrib-python    # in an environment of its own: it is cv2 as well
    PYTHONPATH=src python benchmarks/saliency_peers.py OSIE TEACHER FOLD COUNT ROUNDS

Of what was found in the registries, these two run without a download: spectral residual (Hou &
Zhang, CVPR 2007) and fine grained (Montabone & Soto, IVC 2010). OSIE is a folder with `images` and
`eye.json`, TEACHER one that did not learn the photographs whose fold (CRC-32 of the name, modulo 5)
is FOLD; of these COUNT are used, all if it is 0. OpenCV's maps are blurred as people's fixations
are. Prints the means over photographs, and photographs a second from the encoded file to the map,
of one thread's processor time in ROUNDS rounds.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from encoder_agreement import SIGMA, WIDTH, read_osie, write_chosen
from jaxtyping import Float, UInt8
from ratios import in_turns, machine, spread

from attnlabels import load_teacher
from attnlabels.images.decoding import decode, resize_map
from attnlabels.images.names import fold_of
from attnlabels.metrics.alignment import score_map
from attnlabels.metrics.statistics import mean_se
from attnlabels.recordings.density import blur, centre_prior
from attnlabels.recordings.recordings import count_recorded, read_recordings

FOLDS = 5
SHOWN = ("cc", "nss", "sauc")
Draw = Callable[[UInt8[np.ndarray, "h w 3"]], Float[np.ndarray, "h w"]]


def main() -> None:
    if len(sys.argv) != 6:
        raise SystemExit(__doc__)
    osie, teacher = map(Path, sys.argv[1:3])
    fold, count, rounds = map(int, sys.argv[3:])
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    methods = {**of_teacher(teacher), **of_opencv()}
    found = (each for each in read_osie(osie) if fold_of(each.name, FOLDS) == fold)
    chosen = [*found][: count or None]
    files = [(osie / "images" / each.name).read_bytes() for each in chosen]
    with tempfile.TemporaryDirectory() as name:
        write_chosen(chosen, osie / "images", Path(name, "eye"))
        scores = score(methods, Path(name, "eye"))
    passes = {name: lambda draw=draw: draw_all(draw, files) for name, draw in methods.items()}
    seconds = in_turns(passes, rounds=rounds)
    print(machine(), "", *table(scores, seconds, n=len(files)), sep="\n")


def of_teacher(path: Path) -> dict[str, Draw]:
    return {
        "teacher": load_teacher(path),
        "teacher, mirror image averaged in": load_teacher(path, mirror=True),
    }


def of_opencv() -> dict[str, Draw]:
    if not hasattr(cv2, "saliency"):
        raise SystemExit(f"this cv2 has no saliency; {__doc__.splitlines()[2].strip()}")
    return {
        f"OpenCV, {name}": blurred(make())
        for name, make in (
            ("spectral residual", cv2.saliency.StaticSaliencySpectralResidual_create),
            ("fine grained", cv2.saliency.StaticSaliencyFineGrained_create),
        )
    }


def blurred(method: "cv2.saliency.Saliency") -> Draw:
    def draw(pixels: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        done, map = method.computeSaliency(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        if not done:
            raise RuntimeError("OpenCV computes no map of this photograph")
        sigma = SIGMA / WIDTH * pixels.shape[1]
        return blur(np.float32(map), sigma_px=sigma)

    return draw


def score(methods: dict[str, Draw], eye: Path) -> dict[str, dict[str, np.ndarray]]:
    """Each method's scores of the photographs, by score; a centre prior's among them."""
    everywhere = count_recorded(eye, crop=1.0)
    prior = centre_prior(*everywhere.shape)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in (*methods, "centre prior")}
    for each in read_recordings(eye, crop=1.0):
        maps = {
            name: resize_map(draw(each.image), *each.density.shape)
            for name, draw in methods.items()
        }
        for name, map in {**maps, "centre prior": prior}.items():
            rows[name].append(score_map(map, each.density, each.points, everywhere=everywhere))
    return {
        name: {key: np.array([row[key] for row in of]) for key in SHOWN}
        for name, of in rows.items()
    }


def draw_all(draw: Draw, files: list[bytes]) -> None:
    for number, data in enumerate(files):
        draw(decode(data, name=str(number)))


def table(
    scores: dict[str, dict[str, np.ndarray]], seconds: dict[str, list[float]], *, n: int
) -> Iterator[str]:
    yield f"| {n} photographs | {' | '.join(key.upper() for key in SHOWN)} | a second of one core |"
    yield "|---|" + "---:|" * (len(SHOWN) + 1)
    for name, of in scores.items():
        cells = ["{1:.3f} ± {2:.3f}".format(*mean_se(of[key])) for key in SHOWN]
        rate = spread([n / each for each in seconds[name]], digits=1) if name in seconds else ""
        yield f"| {name} | {' | '.join(cells)} | {rate} |"


if __name__ == "__main__":
    main()
