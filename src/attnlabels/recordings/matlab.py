"""Read MATLAB's files, those of version 7.3 (HDF5) too, into plain Python.

A struct becomes a dict, an array of structs (of any number but one) or a cell array a list in
MATLAB's order, text a str, numbers an array of MATLAB's shape. What `savemat` and MATLAB write of
one value is read the same, whatever the version.
"""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from attnlabels.files.damage import NO_HDF5, refusing
from attnlabels.files.pointers import refuse_pointer

Value: TypeAlias = dict[str, Any] | list[Any] | str | np.ndarray  # of which it holds more
UNREADABLE = (  # what SciPy and h5py raise on broken files
    *NO_HDF5,
    MatReadError,
    NameError,
    EOFError,
    zlib.error,
)
DEEPEST = 10  # values in values; a file can hold itself


def read_variables(path: Path, names: Iterable[str]) -> dict[str, Value]:
    """The variables of these names that the file has.

    Raises FileNotFoundError, or ValueError for what is no MATLAB file or is cut short.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no MAT file here; put the published one there")
    refuse_pointer(path)
    with refusing(UNREADABLE, path, what="not a readable MAT file", cure="fetch it again"):
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                return {name: _from_hdf5(file[name], file) for name in names if name in file}
        content = loadmat(path, variable_names=list(names))
        return {name: _from_scipy(content[name]) for name in names if name in content}


def list_mat(folder: Path, *, whose: str) -> list[Path]:
    """The .mat files of a folder, one an image, by name; `whose` they are, in words, for errors."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; put {whose} there")
    paths = sorted(folder.glob("*.mat"))
    if not paths:
        raise ValueError(f"{folder}: no .mat file in it; expected one an image")
    return paths


def as_list(value: Value) -> list[Value]:
    """An array of structs or cells as MATLAB means it: one struct is one of one, [] of none."""
    if isinstance(value, list):
        return value
    return [] if isinstance(value, np.ndarray) and not value.size else [value]


def _from_scipy(value: Any, depth: int = 0) -> Value:
    if not isinstance(value, np.ndarray) or depth > DEEPEST:
        raise ValueError(f"holds a {type(value).__name__}, expected numbers, text, cells, structs")
    if value.dtype.names:
        structs: list[Value] = [
            {name: _from_scipy(each[name], depth + 1) for name in value.dtype.names}
            for each in value.ravel(order="F")
        ]
        return structs[0] if len(structs) == 1 else structs
    if value.dtype == object:
        return [_from_scipy(each, depth + 1) for each in value.ravel(order="F")]
    if value.dtype.kind == "U":
        return "".join(value.ravel())
    return value


def _from_hdf5(item: Any, file: h5py.File, depth: int = 0) -> Value:
    if depth > DEEPEST:
        raise ValueError(f"{depth} values lie within each other")
    if isinstance(item, h5py.Group):
        return _struct_from_hdf5(item, file, depth)
    kind = item.attrs.get("MATLAB_class", b"")
    if item.attrs.get("MATLAB_empty", 0):  # what it holds is its shape
        empty: dict[bytes, Value] = {b"char": "", b"cell": [], b"struct": []}
        return empty.get(kind, np.zeros(tuple(item[()])))
    values = item[()]  # the last of MATLAB's axes is the first here
    if _refers(item):
        return [_from_hdf5(file[each], file, depth + 1) for each in values.ravel()]
    if kind == b"char":
        return "".join(map(chr, values.ravel()))
    return values.T


def _struct_from_hdf5(group: h5py.Group, file: h5py.File, depth: int) -> Value:
    # Of an array of structs each field is an array of references, as a cell is, but with no class.
    fields = {name: group[name] for name in group}
    if not all(_refers(each) and "MATLAB_class" not in each.attrs for each in fields.values()):
        return {name: _from_hdf5(each, file, depth + 1) for name, each in fields.items()}
    columns = [each[()].ravel() for each in fields.values()]
    return [
        {name: _from_hdf5(file[each], file, depth + 1) for name, each in zip(fields, row)}
        for row in zip(*columns, strict=True)
    ]


def _refers(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and bool(h5py.check_ref_dtype(item.dtype))
