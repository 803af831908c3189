"""A function in a process of its own: what it gives, as it gives it, or in a line why it does not.

A process that has begun to use CUDA cannot be forked, and one in which CUDA failed cannot go on. So
who asks here has not touched it, and each process that is forked begins anew.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
FORK = multiprocessing.get_context("fork")
ITEM, ERROR, END = "item", "error", "end"
LAST_WORDS_S = 2.0  # for a traceback to reach the log


class Failed(Exception):
    """The process raised, which the message says, or ended as `status` says: -9 by SIGKILL."""

    def __init__(self, why: str, *, status: int = 1) -> None:
        super().__init__(why)
        self.status = status


def apart(function: Callable[[], Iterable[T]], *, limit_s: float, log: Path) -> Iterator[T]:
    """The items of `function`, called in a process forked for it; what it prints goes to `log`.

    Raises Failed, and TimeoutError once the process has run for `limit_s` seconds. It leaves no
    process behind, whichever way it ends.
    """
    items, theirs = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_give, args=(function, theirs, log))
    end = time.monotonic() + limit_s
    process.start()
    theirs.close()
    assert process.pid is not None
    try:
        while True:
            ready = wait([items, process.sentinel], timeout=max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError(f"took longer than {limit_s:.0f} s")
            kind, value = _received(items) if items in ready else (END, None)
            if kind == END:
                break
            if kind == ERROR:
                process.join(LAST_WORDS_S)
                raise Failed(value)
            yield value
        process.join(max(0.0, end - time.monotonic()))
        if process.exitcode:
            raise Failed(f"ended with status {process.exitcode}", status=process.exitcode)
    finally:
        _end_all(process.pid)
        process.join()


def _received(items: Connection) -> tuple[str, Any]:
    try:
        return items.recv()
    except EOFError:
        return END, None


def _give(function: Callable[[], Iterable[Any]], items: Connection, log: Path) -> None:
    os.setsid()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
    try:
        for each in function():
            items.send((ITEM, each))
    except (Exception, SystemExit) as error:
        items.send((ERROR, _one_line(error)))
        raise  # the log has the traceback
    items.send((END, None))


def _one_line(error: BaseException) -> str:
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}"[:200]


def _end_all(pid: int) -> None:
    """End a process, those below it in whichever session, and what is left of its group."""
    for each in _family(pid):
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _family(pid: int) -> set[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
            # a name may hold ")"
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, before = {pid} & parents.keys(), -1
    while len(found) > before:
        before = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found
