"""What libraries raise on files that are cut short or damaged: more kinds than they tell of.

Found by reading files with bytes changed, cut out and put in. What is raised of photographs, of
CIFAR's pickles and of remote tars stands where these alone are read.
"""

import errno
import lzma
import pickle
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

# What the system says where there is no room for a file.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# numpy.load of npy and npz; objects, which are pickles, are refused by a ValueError.
NO_ARRAY = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,
    RecursionError,
    NotImplementedError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
# json, and what looks for keys in a tree of another form.
NO_TREE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
# tarfile, of archives compressed or not.
NO_ARCHIVE = (
    tarfile.TarError,
    OSError,
    ValueError,
    EOFError,
    TypeError,
    zlib.error,
    lzma.LZMAError,
)
# h5py. The library below it can crash on damage, which nothing here can help.
NO_HDF5 = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    MemoryError,
)
# torch.load of tensors alone, of either of its formats. A lack of memory is not among them: the
# file may be whole, and is worth much.
NO_STATE = (
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,
)


def reason(error: BaseException) -> str:
    """What a library says, in one line, or what kind of error it is.

    Of what is no array numpy thinks that it may be a pickle, and says how to run it.
    """
    said = " ".join(str(error).split())
    return "no array" if "allow_pickle" in said else said or type(error).__name__


def is_of_system(error: BaseException) -> bool:
    """Whether it is the system that refuses (no permission, a broken disk), and not the file.

    EINVAL is of the file: damage leads a reader to places before its beginning.
    """
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


@contextmanager
def refusing(
    errors: tuple[type[Exception], ...], path: Path, *, what: str, cure: str
) -> Iterator[None]:
    """For a block that reads the file `path`: of `errors`, a ValueError that names it.

    What the system refuses keeps its own words, and so does a ValueError that begins with the path,
    which is ours.
    """
    try:
        yield
    except errors as error:
        ours = isinstance(error, ValueError) and str(error).startswith(str(path))
        if ours or is_of_system(error):
            raise
        raise ValueError(f"{path}: {what} ({reason(error)}); {cure}") from error


@contextmanager
def opened_npz(path: Path, *, what: str, cure: str) -> Iterator[Any]:
    """The arrays of an npz by name, as `numpy.load` has them; objects are pickles and never read.

    Refused as by `refusing`, while it is read too.
    """
    # numpy leaves a file open that it opened itself and that is no whole archive
    with path.open("rb") as stream, refusing(NO_ARRAY, path, what=what, cure=cure):
        found = np.load(stream, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise ValueError("a single array")
        with found:
            yield found
