"""Resumable training state, outside DVC's outputs (which DVC deletes before a stage runs)."""

import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from attnlabels.files.damage import FULL, NO_STATE, refusing

LOCK = "lock"  # the name of the file in a scratch that one process at a time holds
ELSEWHERE = "set ATTNLABELS_SCRATCH to a folder that can be written"


class InUse(ValueError):
    """Another process is at a run."""


def fingerprint(parameters: Any, files: Iterable[Path]) -> str:
    """A name for a training run: changes with its parameters or its data, and so with its code.

    `parameters` become JSON, records by their fields; what `code_of` says of the script is one of
    them. Of `files` names and contents count.
    """
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True, default=vars).encode())
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:32]


def scratch_root() -> Path:
    """The folder of all that may be made again: `$ATTNLABELS_SCRATCH`, or one in the user's cache.

    It is `attnlabels` in `$XDG_CACHE_HOME`, or in `~/.cache`. Raises OSError without a home.
    """
    # Empty is unset, as the XDG Base Directory Specification has it.
    if own := os.environ.get("ATTNLABELS_SCRATCH"):
        return Path(own)
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "attnlabels"
    try:
        return Path.home() / ".cache" / "attnlabels"
    except RuntimeError as error:  # a user without an entry, as in containers
        raise OSError(f"no home folder, where unfinished work is kept; {ELSEWHERE}") from error


def cannot_write(path: Path, error: OSError) -> OSError:
    """What to raise of `error`, met as something in the scratch was written, with the cure."""
    room = "make room, or " if error.errno in FULL else ""
    return OSError(f"{path}: cannot be written ({error.strerror}); {room}{ELSEWHERE}")


class Scratch:
    """Where one training run keeps its state between being killed and going on.

    The folder is in `scratch_root`: a place that runs in a copy of the project (`dvc exp run
    --queue`, `--temp`) reach too.
    """

    def __init__(self, name: str) -> None:
        self.folder = scratch_root() / name
        self.file = self.folder / "state.pt"
        self._lock: io.BufferedWriter | None = None

    def lock(self) -> None:
        """Keep every other process out until `unlock`, or until this one ends in whatever way.

        Raises InUse if another one is at this run, OSError if there is no place for it.
        """
        while self._lock is None:
            self._lock = self._open_lock()
        for left in self.folder.glob("state.[0-9]*"):  # by a process that was killed as it wrote
            left.unlink()

    def _open_lock(self) -> io.BufferedWriter | None:
        """The lock, held; None where one that ended just now took it away again."""
        file, lock = self.folder / LOCK, None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # the folder is no longer there
                lock = open(file, "ab")  # noqa: SIM115 (held until unlock)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        if lock is None:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise InUse(
                f"{self.folder} is in use: another process is at the same run; wait until it "
                "ends, or stop it"
            ) from None
        if _is_open(lock, file):
            return lock
        lock.close()
        return None

    def unlock(self) -> None:
        """Let others in."""
        if self._lock:
            if _is_open(self._lock, self.folder / LOCK):
                (self.folder / LOCK).unlink()
            self._lock.close()
            self._lock = None
        with suppress(OSError):  # it holds a state, or another process was first
            self.folder.rmdir()

    def read(self) -> dict[str, Any] | None:
        """The state last written, or None if this run has none."""
        if not self.file.is_file():
            return None
        data = io.BytesIO(self.file.read_bytes())
        cure = "remove it to begin again"
        with refusing(NO_STATE, self.file, what="no whole training state", cure=cure):
            return torch.load(data, map_location="cpu", weights_only=True)

    def write(self, state: dict[str, Any]) -> None:
        """Replace the state; a kill at any moment leaves the old one or the new one."""
        aside = self.file.with_suffix(f".{os.getpid()}")
        data = io.BytesIO()
        torch.save(state, data)  # to a file, it would make a full disk a RuntimeError
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(aside, "wb") as file:
                file.write(data.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, self.file)
        except OSError as error:
            raise cannot_write(self.file, error) from error
        finally:
            with suppress(OSError):  # as what kept it from being written
                aside.unlink()

    def clear(self) -> None:
        """Forget the run: its results are written. Whoever has the lock keeps it."""
        # A state that cannot be removed does no harm: its fingerprint leads to the same results.
        for path in [*self.folder.glob("*")]:
            if path.name != LOCK:
                shutil.rmtree(path, ignore_errors=True)
                with suppress(OSError):
                    path.unlink()
        with suppress(OSError):  # another process has the lock
            self.folder.rmdir()


@contextmanager
def alone_at(file: Path) -> Iterator[None]:
    """In this block no other process is in one of the same `file`; those that come meanwhile wait.

    The file is there for as long. Where a file system knows no locks, none is kept out. Raises
    OSError if the file cannot be made.
    """
    while True:
        with open(file, "ab") as lock:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_open(lock, file):
                try:
                    yield
                finally:
                    file.unlink(missing_ok=True)
                return


def _is_open(lock: io.BufferedWriter, file: Path) -> bool:
    """Whether `file` is still what was opened as `lock`."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(lock.fileno()), os.stat(file))
    return False
