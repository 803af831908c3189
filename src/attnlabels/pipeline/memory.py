"""How the C library keeps memory between one batch and the next."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
LARGEST_KEPT = 32 * 2**20  # glibc accepts no more


class _Heap(ctypes.Structure):
    """What glibc says of its memory, `struct mallinfo2` of malloc.h; all in bytes or numbers."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
            *("uordblks", "fordblks", "keepcost"),
        )
    )


def keep_freed_memory() -> None:
    """Have the process keep, for the next batch, the memory that tensors of a CPU leave free.

    By default glibc returns large blocks to the system, which fills them with zeros anew at each
    batch: a tenth of the time of a small training, a fifth of that of an extraction. Does nothing
    where there is no glibc.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_ARENA_MAX, 1)  # a thread's own would give back what exceeds 64 MB


def kept_free() -> int:
    """Bytes that this process has of the system and that are free for its next tensors of a CPU.

    Of many sizes, so a large tensor may not fit. 0 where the C library does not say it: elsewhere
    than on Linux, and by glibc before 2.33.
    """
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallinfo2"):
        return 0
    libc.mallinfo2.restype = _Heap
    return int(libc.mallinfo2().fordblks)
