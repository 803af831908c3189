"""What libraries raise on files that are cut short or damaged: more kinds than they tell of.

Found by reading files with bytes changed, cut out and put in. Of MATLAB's and of photographs see
`attnlabels.recordings.matlab` and `attnlabels.images.decoding`.
"""

import lzma
import pickle
import struct
import tarfile
import tokenize
import zipfile
import zlib

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
# torch.load of tensors alone, of either of its formats.
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
    MemoryError,
    RuntimeError,
)


def reason(error: BaseException) -> str:
    """What a library says, in one line, or what kind of error it is."""
    return " ".join(str(error).split()) or type(error).__name__
