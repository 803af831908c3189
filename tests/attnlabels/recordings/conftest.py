"""Writes MATLAB's files of both kinds: dict is a struct, list an array of structs, tuple a cell."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

Save = Callable[[Path, dict[str, Any]], None]


@pytest.fixture
def save_v5() -> Save:
    return save_scipy


@pytest.fixture(params=["v5", "v7.3"])
def save(request: pytest.FixtureRequest) -> Save:
    return {"v5": save_scipy, "v7.3": save_hdf5}[request.param]


class Written:
    """A file as MATLAB writes it with -v7.3: HDF5 behind 512 bytes, what is nested in #refs#."""

    def __init__(self, path: Path) -> None:
        self.file = h5py.File(path, "w", userblock_size=512)
        self.refs = self.file.create_group("#refs#")
        self.path = path
        self.numbers = count()

    def save(self, **variables) -> None:
        for name, value in variables.items():
            self.add(self.file, name, value)
        self.file.close()
        with self.path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))

    def add(self, parent: h5py.Group, name: str, value) -> None:
        if isinstance(value, dict):
            group = parent.create_group(name)
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for key, each in value.items():
                self.add(group, key, each)
        elif isinstance(value, list):
            group = parent.create_group(name)
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for key in value[0]:
                self.references(group, key, [each[key] for each in value])
        elif isinstance(value, tuple):
            self.references(parent, name, value).attrs["MATLAB_class"] = np.bytes_("cell")
        elif isinstance(value, str):
            codes = np.array([[ord(each)] for each in value], np.uint16)
            parent.create_dataset(name, data=codes).attrs["MATLAB_class"] = np.bytes_("char")
        elif not value.size:
            dataset = parent.create_dataset(name, data=np.array(value.shape, np.uint64))
            dataset.attrs["MATLAB_class"] = np.bytes_("double")
            dataset.attrs["MATLAB_empty"] = np.uint8(1)
        else:
            parent.create_dataset(name, data=value.T).attrs["MATLAB_class"] = np.bytes_("double")

    def references(self, parent: h5py.Group, name: str, values: list | tuple) -> h5py.Dataset:
        names = []
        for value in values:
            names.append(str(next(self.numbers)))
            self.add(self.refs, names[-1], value)
        pointers = np.array([[self.refs[key].ref] for key in names], h5py.ref_dtype)
        return parent.create_dataset(name, data=pointers)


def save_hdf5(path: Path, variables: dict) -> None:
    Written(path).save(**variables)


def save_scipy(path: Path, variables: dict) -> None:
    savemat(path, {name: of_scipy(value) for name, value in variables.items()})


def of_scipy(value):
    if isinstance(value, dict):
        return {name: of_scipy(each) for name, each in value.items()}
    if isinstance(value, list):
        structs = np.empty((len(value), 1), [(name, object) for name in value[0]])
        for row, each in zip(structs, value):
            row[0] = tuple(of_scipy(each[name]) for name in value[0])
        return structs
    if isinstance(value, tuple):
        cells = np.empty((len(value), 1), object)
        for row, each in zip(cells, value):
            row[0] = of_scipy(each)
        return cells
    return value
