"""Corrupted images on disk: ImageNet-C's folders of JPEGs and CIFAR-10-C's arrays.

Layouts as published by Hendrycks and Dietterich (ICLR 2019), of whichever images. `corrupt_images`
generates the second one; a file `generated.json` beside the arrays says so.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Int64, UInt8

from attnlabels.files.damage import NO_ARRAY, NO_TREE, refusing
from attnlabels.images.folder import fault_of, note_hidden, scan

# The downloads of ImageNet-C. Those of `extra` are meant for validation and may be absent.
GROUPS = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    "extra": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),
}
SEVERITIES = (1, 2, 3, 4, 5)
CURE = "give those that were made of these images, under the same names, or generate them"
ALL = slice(None)
Names: TypeAlias = Sequence[str] | np.ndarray  # the latter of StringDType, as a list of images is


@dataclass(frozen=True, kw_only=True)
class CorruptedArrays:
    """CIFAR-10-C's layout: `<corruption>.npy` [5n h w 3], severity 1 first, and `labels.npy`."""

    root: Path
    corruptions: tuple[str, ...]
    generated: bool
    labels: Int64[np.ndarray, "n"]
    arrays: dict[str, UInt8[np.ndarray, "m h w 3"]] = field(repr=False)

    def made_of(
        self, names: Names, labels: Int64[np.ndarray, "n"], *, of: str
    ) -> "CorruptedArrays":
        """Itself; raises ValueError unless `labels` are its own, in their order."""
        if not np.array_equal(self.labels, labels):
            raise ValueError(
                f"{self.root}: {len(self.labels)} corrupted images that are not the {len(labels)} "
                f"of {of} in their order; {CURE}"
            )
        return self

    def images(
        self, corruption: str, severity: int, *, rows: slice = ALL
    ) -> UInt8[np.ndarray, "n h w 3"]:
        """Images under one corruption and severity, in the order of `labels`; not yet read."""
        _require_present(corruption, severity, self.corruptions)
        n = len(self.labels)
        return self.arrays[corruption][(severity - 1) * n : severity * n][rows]


@dataclass(frozen=True, kw_only=True)
class CorruptedFolder:
    """ImageNet-C's layout: `<corruption>/<severity>/<class>/<image>`, in groups or not.

    A label is the place of the class among the sorted `classes`, which may be called anything;
    `names` are `<class>/<image>`.
    """

    root: Path
    corruptions: tuple[str, ...]
    generated: bool
    labels: Int64[np.ndarray, "n"]
    classes: tuple[str, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    folders: dict[str, Path] = field(repr=False)

    def made_of(
        self, names: Names, labels: Int64[np.ndarray, "n"], *, of: str
    ) -> "CorruptedFolder":
        """In the order of the clean images `names`, with their `labels`.

        An image is known by its folder and its name without the suffix, since corrupted ones are
        JPEGs whatever they were made of. Raises ValueError if one is missing, or there is another,
        and for two clean ones that would be of one corrupted image.
        """
        found = {_stem(name): name for name in self.names}
        wanted = [_stem(name) for name in names]
        unlike = {
            f"of {of} are missing": sorted({*wanted} - found.keys()),
            f"are not of {of}": sorted(found.keys() - {*wanted}),
        }
        said = [f"{len(each)} {what} ({each[0]})" for what, each in unlike.items() if each]
        if said:
            raise ValueError(f"{self.root}: of its images {' and '.join(said)}; {CURE}")
        if len({*wanted}) != len(wanted):
            twice = next(stem for stem, n in Counter(wanted).items() if n > 1)
            raise ValueError(
                f"{self.root}: {twice} is of two images of {of}, which differ above their class's "
                "folder or in their suffix alone; rename or remove one, or generate them"
            )
        if len(found) != len(self.names):
            raise ValueError(f"{self.root}: two images differ in their suffix alone; remove one")
        own = tuple(found[stem] for stem in wanted)
        return replace(self, names=own, labels=np.asarray(labels))

    def images(self, corruption: str, severity: int, *, rows: slice = ALL) -> list[Path]:
        """Files under one corruption and severity, in the order of `labels`."""
        _require_present(corruption, severity, self.corruptions)
        folder = self.folders[corruption] / str(severity)
        return [folder / name for name in self.names[rows]]


def open_corrupted(
    root: Path, *, layout: Literal["imagenet_c", "arrays"]
) -> CorruptedArrays | CorruptedFolder:
    """The corrupted images in `root`, their counts, order and labels checked.

    Raises FileNotFoundError or ValueError naming the file if one of the 15 standard corruptions, a
    severity or an image is missing, or if two severities differ in their images.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder of corrupted images")
    if layout == "arrays":
        return _open_arrays(root)
    if layout == "imagenet_c":
        return _open_folder(root)
    raise ValueError(f"layout {layout!r} is unknown; expected 'imagenet_c' or 'arrays'")


def _open_arrays(root: Path) -> CorruptedArrays:
    paths = {name: root / f"{name}.npy" for group in GROUPS.values() for name in group}
    paths = {name: path for name, path in paths.items() if path.is_file()}
    _require_standard(root, paths)
    labels = _read_labels(root / "labels.npy")
    arrays = {name: _open_array(path, n_rows=5 * len(labels)) for name, path in paths.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{root}: images of several sizes, {shapes}; fetch or generate them again")
    return CorruptedArrays(
        root=root,
        corruptions=tuple(arrays),
        generated=_is_generated(root),
        labels=labels,
        arrays=arrays,
    )


def _read_labels(path: Path) -> Int64[np.ndarray, "n"]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; it belongs to the arrays beside it")
    labels = _load(path)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{path}: {labels.dtype} {labels.shape}, expected whole numbers [5n]")
    if len(labels) == 0 or len(labels) % 5:
        raise ValueError(f"{path}: {len(labels)} labels, expected those of n images five times")
    by_severity = labels.reshape(5, -1)
    if (by_severity != by_severity[0]).any():
        raise ValueError(f"{path}: the labels of the five severities differ; fetch it again")
    return by_severity[0].astype(np.int64)


def _open_array(path: Path, *, n_rows: int) -> UInt8[np.ndarray, "m h w 3"]:
    array = _load(path, mmap_mode="r")
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
        raise ValueError(f"{path}: {array.dtype} {array.shape}, expected uint8 [5n, h, w, 3]")
    if len(array) != n_rows:
        raise ValueError(
            f"{path}: {len(array)} images but {n_rows} labels in labels.npy; fetch both again"
        )
    return array


def _load(path: Path, *, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    with refusing(NO_ARRAY, path, what="cut short or no array", cure="fetch it again"):
        return np.load(path, mmap_mode=mmap_mode)


def _is_generated(root: Path) -> bool:
    path = root / "generated.json"
    with refusing(NO_TREE, path, what="not as it was written", cure="make the corruptions again"):
        return path.is_file() and bool(json.loads(path.read_bytes())["generated"])


def _open_folder(root: Path) -> CorruptedFolder:
    folders = _find_folders(root)
    _require_standard(root, folders)
    first = folders[GROUPS["noise"][0]] / "1"
    hidden: list[str] = []
    names = _list_images(first, [])
    for corruption, severity in product(folders, SEVERITIES):
        folder = folders[corruption] / str(severity)
        _require_same(_list_images(folder, hidden), names, folder, first)
    note_hidden(root, hidden)
    classes = tuple(sorted({name.split("/")[0] for name in names}))
    place = {name: k for k, name in enumerate(classes)}
    return CorruptedFolder(
        root=root,
        corruptions=tuple(folders),
        generated=_is_generated(root),
        labels=np.array([place[name.split("/")[0]] for name in names], np.int64),
        classes=classes,
        names=tuple(names),
        folders=folders,
    )


def _find_folders(root: Path) -> dict[str, Path]:
    folders = {}
    for group, names in GROUPS.items():
        for name in names:
            found = [path for path in (root / name, root / group / name) if path.is_dir()]
            if len(found) > 1:
                raise ValueError(f"{name} is there twice, {found[0]} and {found[1]}; remove one")
            if found:
                folders[name] = found[0]
    return folders


def _list_images(folder: Path, hidden: list[str]) -> list[str]:
    """All `<class>/<image>` of one severity, sorted; what is hidden is appended to `hidden`."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing; unpack all five severities")
    class_folders, others, more = scan(folder)
    if others:
        raise ValueError(f"{others[0].path}: expected folders of classes alone; remove it")
    hidden += more
    names = []
    for class_folder in class_folders:
        folders, files, more = scan(class_folder.path)
        if odd := [each for each in (*folders, *files) if fault_of(each, each.name)]:
            raise ValueError(f"{odd[0].path}: expected images only; remove it")
        if not files:
            raise ValueError(f"{class_folder.path} is empty; unpack it again")
        hidden += more
        names += [f"{class_folder.name}/{file.name}" for file in files]
    if not names:
        raise ValueError(f"{folder} is empty; unpack it again")
    return names


def _stem(name: str) -> str:
    """`<class>/<image>`, whatever folders these are in."""
    return "/".join(PurePosixPath(name).with_suffix("").parts[-2:])


def _require_same(names: list[str], expected: list[str], folder: Path, first: Path) -> None:
    if names == expected:
        return
    unlike = sorted(set(names) ^ set(expected))
    raise ValueError(
        f"{folder} holds {len(names)} images and {first} {len(expected)}; the first of "
        f"{len(unlike)} that only one has is {unlike[0]}; unpack both again"
    )


def _require_standard(root: Path, present: dict[str, Path]) -> None:
    standard = [name for group in GROUPS if group != "extra" for name in GROUPS[group]]
    if missing := [name for name in standard if name not in present]:
        raise FileNotFoundError(
            f"{root}: {len(missing)} of the 15 standard corruptions are missing: "
            f"{', '.join(missing)}; fetch or generate them"
        )


def _require_present(corruption: str, severity: int, corruptions: tuple[str, ...]) -> None:
    if corruption not in corruptions:
        raise ValueError(f"corruption {corruption!r} is not among those here, {corruptions}")
    if severity not in SEVERITIES:
        raise ValueError(f"{corruption}: severity is {severity}, expected 1 to 5")
