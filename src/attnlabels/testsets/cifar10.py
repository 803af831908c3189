"""Read CIFAR-10's official Python files (Krizhevsky 2009, cs.toronto.edu/~kriz/cifar.html).

They are pickles, which could run any code; here a pickle can build NumPy arrays and no more.
"""

import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Int64, UInt8

from attnlabels.testsets.archives import members

BATCHES = {
    "train": tuple(f"data_batch_{k}" for k in range(1, 6)),
    "test": ("test_batch",),
}
UNREADABLE = (  # what unpickling broken data raises
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    LookupError,  # keys, places, and encodings that there are not
    AttributeError,
    TypeError,
    MemoryError,
)
CLASSES = (  # by their labels, as batches.meta has them
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
SIDE = 32
ROW = 3 * SIDE * SIDE  # 1024 red, 1024 green, 1024 blue


def read_cifar10(
    folder: Path, *, split: Literal["train", "test"]
) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int64[np.ndarray, "n"]]:
    """RGB images and labels 0..9, in the files' order.

    `folder` holds the batch files, or is their archive, cifar-10-python.tar.gz. Files with fewer
    rows than the official 10,000 are read as they are.
    """
    files = _open_batches(folder, BATCHES[split])
    parts = [_read_batch(path, data) for path, data in files.items()]
    rows = np.concatenate([data for data, _ in parts])
    images = rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.concatenate([labels for _, labels in parts])


def write_first_rows(archive: Path, out: Path, take: Mapping[str, int | None]) -> dict[str, int]:
    """Write the first rows of CIFAR-10's files to `out`, in its layout; how many of each split.

    `archive` is as in `read_cifar10`; `take` says how many rows of each file of a split, "train" or
    "test", are kept, None: all. Raises ValueError if a file has fewer.
    """
    counts = dict.fromkeys(take, 0)
    out.mkdir(parents=True)
    for split, count in take.items():
        for path, content in _open_batches(archive, BATCHES[split]).items():
            data, labels = _read_batch(path, content)
            if count is not None and len(labels) < count:
                raise ValueError(
                    f"{path}: {len(labels)} rows, {count} are to be taken; fetch it again, or take "
                    "fewer"
                )
            rows = {"labels": labels[:count].tolist(), "data": data[:count]}
            (out / path.name).write_bytes(pickle.dumps(rows, protocol=2))  # CIFAR-10's own
            counts[split] += len(rows["labels"])
    return counts


def _open_batches(folder: Path, names: Sequence[str]) -> dict[Path, bytes]:
    """The content of the batch files by their paths, those in an archive's too."""
    if folder.is_file():
        found = {each.path.name: each.read() for each in members(folder) if each.path.name in names}
    else:
        files = {name: folder / name for name in names}
        found = {name: path.read_bytes() for name, path in files.items() if path.is_file()}
    for name in names:
        if name not in found:
            raise FileNotFoundError(
                f"{folder / name}: batch missing; unpack CIFAR-10's archive for Python, "
                "cifar-10-python.tar.gz, or name it itself"
            )
    return {folder / name: found[name] for name in names}


def _read_batch(path: Path, encoded: bytes) -> tuple[np.ndarray, np.ndarray]:
    try:
        batch = _ArraysOnly(io.BytesIO(encoded), encoding="latin1").load()
    except UNREADABLE as error:
        raise ValueError(
            f"{path}: cut short or not CIFAR-10's file ({error}); fetch it again"
        ) from error
    if not isinstance(batch, dict):
        raise ValueError(f"{path}: holds a {type(batch).__name__}; expected CIFAR-10's dictionary")
    content = {_text(key): value for key, value in batch.items()}
    for key in ("data", "labels"):
        if key not in content:
            raise ValueError(f"{path}: has no `{key}` (CIFAR-100 has `fine_labels`); take CIFAR-10")
    data, labels = content["data"], _as_array(content["labels"], path)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (ROW,):
        found = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data)
        raise ValueError(f"{path}: data is {found}, expected uint8 (n, {ROW}); fetch it again")
    if labels.shape != (len(data),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{path}: labels are {labels.dtype} {labels.shape}, expected a whole number for each "
            f"of {len(data)} images; fetch it again"
        )
    bad = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if len(bad):
        raise ValueError(
            f"{path}: row {bad[0]} has the label {labels[bad[0]]}, expected 0..{len(CLASSES) - 1}; "
            "fetch it again"
        )
    return data, labels.astype(np.int64)


def _text(key: Any) -> Any:
    """A key as Python 3 has it: pickles of Python 2 have bytes."""
    return key.decode("latin1") if isinstance(key, bytes) else key


def _as_array(values: Any, path: Path) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:  # lists of several lengths
        raise ValueError(
            f"{path}: labels are ragged, expected a whole number for each image; fetch it again"
        ) from error


def _encode(text: str, encoding: str) -> bytes:
    # Python 3 writes bytes so into a pickle of Python 2's kind.
    return text.encode(encoding)


class _ArraysOnly(pickle.Unpickler):
    # What NumPy writes to say how to build an array, under its names of before and since 2.0.
    ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
        ("_codecs", "encode"): _encode,
        ("numpy._core.numeric", "_frombuffer"): np.zeros(1).__reduce_ex__(5)[0],
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, where only arrays and lists are needed"
            )
        return self.ALLOWED[module, name]
