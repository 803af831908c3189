"""Time the nineteen corruptions against the packages that hold them too, by the limits below.

    pip install imagecorruptions-imaug
    pip install --no-deps --target FOLDER imagecorruptions==1.1.2
    python benchmarks/corruptions.py FOLDER

`imagecorruptions` 1.1.2 calls for names that NumPy, SciPy, scikit-image and setuptools have dropped
since; they are given back to it here. It has ImageNet's amounts alone, so those are taken by all,
at 32 pixels too. All run on one thread and in turns, each corruption on one made photograph at
severities 1 to 5. Given the same draws, the two glass blurs must agree to the bit. Prints Markdown;
leaves with status 1 if they do not, or if a limit is missed. A minute on one core.
"""

import importlib.util
import statistics
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import cv2
import numpy as np
import PIL.Image
import scipy.ndimage
from ratios import Bound, bounds_table, in_turns, machine, ratios

from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA, SEVERITIES, corrupt

ALL = (*CORRUPTIONS, *EXTRA)
OURS, IMAUG, REPAIRED = "ours", "imagecorruptions-imaug", "imagecorruptions 1.1.2"
LEAST_FASTER = {  # by side of the image: which corruptions, than whose
    224: [
        (ALL, IMAUG, 3.0),
        (ALL, REPAIRED, 15.0),
        (("glass_blur",), REPAIRED, 80.0),  # imagecorruptions-imaug has compiled its own
    ],
    32: [(ALL, IMAUG, 3.0), (ALL, REPAIRED, 8.0)],
}
ROUNDS = 7


def main(folder: Path) -> None:
    try:
        import imagecorruptions as imaug
    except ImportError:
        raise SystemExit("benchmarks/corruptions.py: pip install imagecorruptions-imaug") from None
    cv2.setNumThreads(1)
    old = repaired(folder / "imagecorruptions")
    require_equal_glass_blur(old, photograph(64))
    bounds: list[Bound] = []
    print(machine(), end="\n\n")
    for side, limits in LEAST_FASTER.items():
        seconds = measure(imaug, old, side=side, rounds=ROUNDS)
        print(f"## {side} × {side}", milliseconds_table(seconds), sep="\n\n", end="\n\n")
        for corruptions, who, least in limits:
            name = "all" if corruptions == ALL else ", ".join(corruptions)
            faster = ratios(*(total(seconds, corruptions, each) for each in (who, OURS)))
            bounds.append(
                Bound(f"{name} at {side} px, times as fast as {who}", faster, least, True, "")
            )
    print(bounds_table(bounds))
    if not all(each.kept for each in bounds):
        raise SystemExit(1)


def repaired(package: Path) -> ModuleType:
    """`imagecorruptions` 1.1.2 from where pip put it, beside the package of the same name."""
    if not (package / "corruptions.py").is_file():
        raise SystemExit(f"benchmarks/corruptions.py: {package} is not imagecorruptions 1.1.2")
    dropped: dict[str, Any] = {
        "pkg_resources": ModuleType("pkg_resources"),
        "scipy.ndimage.interpolation": ModuleType("interpolation"),
    }
    dropped["pkg_resources"].resource_filename = lambda _, name: str(package / name)
    dropped["scipy.ndimage.interpolation"].map_coordinates = scipy.ndimage.map_coordinates
    spec = importlib.util.spec_from_file_location("imagecorruptions_1", package / "corruptions.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, dropped):
        spec.loader.exec_module(module)
    np.float_ = np.float64
    gaussian = module.gaussian

    def gaussian_of_old(x: Any, sigma: Any, *, multichannel: bool = False, **options: Any) -> Any:
        return gaussian(x, sigma, channel_axis=-1 if multichannel else None, **options)

    module.gaussian = gaussian_of_old
    return module


def measure(
    imaug: ModuleType, old: ModuleType, *, side: int, rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Seconds of each corruption, an image at five severities, by each of the three."""
    image = photograph(side)
    picture = PIL.Image.fromarray(image)

    def theirs(function: Callable[..., Any]) -> None:
        np.random.seed(0)
        for severity in SEVERITIES:
            np.uint8(function(picture, severity))

    def ours(corruption: str) -> None:
        rng = np.random.default_rng(0)
        for severity in SEVERITIES:
            corrupt(image, corruption=corruption, severity=severity, table="imagenet", rng=rng)

    seconds: dict[str, dict[str, list[float]]] = {}
    with warnings.catch_warnings():
        # the packages divide by zero where a small image stays without a spatter
        warnings.simplefilter("ignore", RuntimeWarning)
        for corruption in ALL:
            seconds[corruption] = in_turns(
                {
                    OURS: partial(ours, corruption),
                    IMAUG: partial(theirs, getattr(imaug.corruptions, corruption)),
                    REPAIRED: partial(theirs, getattr(old, corruption)),
                },
                rounds=rounds,
            )
    return seconds


def total(
    seconds: Mapping[str, Mapping[str, list[float]]], corruptions: Sequence[str], who: str
) -> list[float]:
    """Seconds of some corruptions together, in each round."""
    return [sum(each) for each in zip(*(seconds[corruption][who] for corruption in corruptions))]


def require_equal_glass_blur(old: ModuleType, image: np.ndarray) -> None:
    for severity in SEVERITIES:
        rng = np.random.default_rng(severity)
        with mock.patch.object(np.random, "randint", rng.integers):
            expected = np.uint8(old.glass_blur(PIL.Image.fromarray(image), severity))
        rng = np.random.default_rng(severity)
        found = corrupt(
            image, corruption="glass_blur", severity=severity, table="imagenet", rng=rng
        )
        if not np.array_equal(found, expected):
            raise SystemExit(f"another glass blur than {REPAIRED}'s at severity {severity}")


def photograph(side: int) -> np.ndarray:
    """Clouds of colour with some grain, [side, side, 3]."""
    rng = np.random.default_rng(0)
    clouds = cv2.GaussianBlur(rng.normal(size=(side, side, 3)), (0, 0), side / 12)
    image = 128 + 55 * clouds / clouds.std() + rng.normal(scale=6, size=clouds.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def milliseconds_table(seconds: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Medians an image; the last row is their sum."""
    who = (OURS, IMAUG, REPAIRED)
    medians = {
        corruption: [1e3 * statistics.median(by[each]) / len(SEVERITIES) for each in who]
        for corruption, by in seconds.items()
    }
    medians["all"] = [sum(column) for column in zip(*medians.values())]
    lines = [f"| milliseconds an image | {' | '.join(who)} |", "|---|---:|---:|---:|"]
    lines += [
        f"| {name} | {' | '.join(f'{each:.2f}' for each in row)} |" for name, row in medians.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("python benchmarks/corruptions.py FOLDER, see the top of the file")
    main(Path(sys.argv[1]))
