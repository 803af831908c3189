import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from attnlabels.pipeline import memory

COUNT = """
import ctypes, resource, sys
from attnlabels.pipeline.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
for _ in range(50):
    block = libc.malloc(ctypes.c_size_t(30 * 2**20))
    ctypes.memset(block, 1, 30 * 2**20)
    libc.free(ctypes.c_void_p(block))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def faults(how: str) -> int:
    """Page faults of a process that takes 50 times 30 MB and gives them back."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT, how],
        env={"PYTHONPATH": str(Path(memory.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


GLIBC = pytest.mark.skipif(sys.platform != "linux", reason="there is no glibc")


@GLIBC
def test_memory_that_was_freed_is_not_faulted_in_again():
    returned, kept = faults("returned"), faults("kept")
    assert kept < 40_000 and kept <= returned


@GLIBC
def test_what_is_kept_and_free_is_counted():
    memory.keep_freed_memory()
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    size = 20 * 2**20
    blocks = [libc.malloc(ctypes.c_size_t(size)) for _ in range(8)]
    before = memory.kept_free()
    for block in blocks:
        libc.free(ctypes.c_void_p(block))
    assert 7 * size < memory.kept_free() - before < 9 * size


def test_where_there_is_no_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    memory.keep_freed_memory()
    assert memory.kept_free() == 0
