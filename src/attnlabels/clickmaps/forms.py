"""Which of ClickMe's forms a file has, told from its bytes and never from its name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import h5py

from attnlabels.clickmaps.tfrecord import HEAD, masked_crc, refuse_compressed
from attnlabels.files.pointers import refuse_pointer

Form = Literal["tfrecord", "csv", "npz", "hdf5"]
ZIP = b"PK\x03\x04"


def files_of(clicks: Path) -> list[Path]:
    """The file, or those of a folder by name; raises FileNotFoundError if there is none."""
    if clicks.is_dir():
        files = sorted(each for each in clicks.iterdir() if each.is_file() and each.name[0] != ".")
    else:
        files = [clicks] if clicks.is_file() else []
    if not files:
        raise FileNotFoundError(f"{clicks}: no such file, nor files in it; put ClickMe's there")
    return files


def form_of(files: Sequence[Path]) -> Form:
    """What the files hold, all the same; raises ValueError otherwise, or if they are compressed."""
    forms = {_form(each): each for each in files}
    if len(forms) > 1:
        (one, a), (other, b), *_ = forms.items()
        raise ValueError(f"{a} holds {one} and {b} {other}; name files of one form")
    return next(iter(forms))


def _form(path: Path) -> Form:
    refuse_pointer(path)
    with path.open("rb") as file:
        head = file.read(HEAD.size)
    if not head:
        raise ValueError(f"{path}: is empty; fetch it again, or remove it")
    refuse_compressed(path, head)
    if head.startswith(ZIP):
        return "npz"
    if h5py.is_hdf5(path):
        return "hdf5"
    if len(head) == HEAD.size and masked_crc(head[:8]) == HEAD.unpack(head)[1]:
        return "tfrecord"
    if b"\0" in head:
        raise ValueError(
            f"{path}: none of ClickMe's forms: no TFRecord, whose length has another checksum, no "
            "npz, HDF5 or CSV; fetch it again"
        )
    return "csv"
