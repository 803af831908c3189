"""One server a study: a lock on its folder that ends with the process, however it ends."""

import fcntl
import os
from pathlib import Path

LOCK = "server.lock"


def hold(folder: Path) -> int:
    """A lock on the folder, as a file descriptor; raises OSError if another process has it."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise BlockingIOError(
            f"{folder}: another server runs on it; stop that one, or name another folder"
        ) from error
    return lock
