"""Reading the frozen features of one evaluation set, as `extract_features` writes them."""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float16, Int64

BLOCK = 2048  # rows that are looked at together; changes no result
CURE = "run the stage extract_features again"


def read_features(
    folder: Path, name: str = "features"
) -> tuple[Float16[np.ndarray, "n d"], Int64[np.ndarray, "n"]]:
    """Features `folder/<name>.npy`, one row an image, and the class of each image, in one order.

    The features are mapped from the file, 5 GB for ImageNet's training images: convert a block of
    rows to a wider type where it is used, never all of them.

    Raises FileNotFoundError or ValueError naming the file if one is missing, if there is not one
    label for each row, or if a value is not finite (one NaN makes every score of the set one).
    """
    features = _read(folder / f"{name}.npy", mmap_mode="r")
    labels = _read(folder / "labels.npy")
    if features.ndim != 2 or not features.size or features.dtype != np.float16:
        raise ValueError(
            f"{folder / name}.npy is {features.dtype} {features.shape}, expected float16 [n, d]; "
            f"{CURE}"
        )
    if labels.shape != features.shape[:1]:
        raise ValueError(
            f"{folder / name}.npy holds {len(features)} rows but {folder / 'labels.npy'} holds "
            f"labels of shape {labels.shape}; {CURE}"
        )
    if labels.min() < 0:
        raise ValueError(f"{folder / 'labels.npy'} holds the class {labels.min()}; {CURE}")
    finite = np.concatenate(
        [
            np.isfinite(features[first : first + BLOCK]).all(axis=1)
            for first in range(0, len(features), BLOCK)
        ]
    )
    if not finite.all():
        raise ValueError(
            f"{folder / name}.npy: {(~finite).sum()} of {len(features)} rows are not finite, the "
            f"first is row {finite.argmin()}; the encoder overflows float16 or has diverged"
        )
    return features, labels.astype(np.int64, copy=False)


def require_same_images(clean: Path, corrupted: Path) -> None:
    """Raises ValueError unless `corrupted` holds the images of `clean` in their order."""
    if not np.array_equal(_read(clean / "labels.npy"), _read(corrupted / "labels.npy")):
        raise ValueError(
            f"{corrupted / 'labels.npy'} differs from {clean / 'labels.npy'}: the corrupted images "
            f"are not the clean ones in the same order; {CURE}"
        )


def _read(path: Path, *, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {CURE}")
    try:
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: cut short or no plain array ({error}); {CURE}") from error
