"""A study's database: one file of SQLite, whole after a kill at any moment.

Written ahead (WAL) and flushed at the end of each transaction, so that what was answered "stored"
is there after a kill, and after a power cut where the disk keeps its word.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from attnlabels.serving.refusals import Refused

WAIT_S = 10.0  # for another process that writes, a copy being made say
RETRY_S = 3.0
# What SQLite says (sqlite.org/rescode.html); Python 3.10 has neither names nor numbers for it.
FULL = ("full", "I/O", "readonly", "unable to open")
BUSY = ("locked", "busy")


def files_of(database: str) -> tuple[str, ...]:
    """The names of a database's file and of those that SQLite has beside it: log, and its index."""
    return database, f"{database}-wal", f"{database}-shm"


class Database:
    """A connection that the server's threads share, one transaction at a time."""

    def __init__(self, path: Path, *, schema: str, version: int) -> None:
        """Open the file at `path`, or make it by the statements of `schema`.

        Raises ValueError for a file that is no database, or one of another version.
        """
        self.path, self.lock = path, threading.Lock()
        try:
            self.connection = sqlite3.connect(
                path, timeout=WAIT_S, isolation_level=None, check_same_thread=False
            )
            self.connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self.connection.execute(f"PRAGMA {pragma}")
            self._require(schema, version)
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{path}: {error}; free the disk if it is full, else name another study"
            ) from error

    def _require(self, schema: str, version: int) -> None:
        # exclusive: of two servers that begin at once, one makes it
        self.connection.execute("BEGIN EXCLUSIVE")
        (found,) = self.connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if found == 0 and tables == 0:
            for statement in schema.split(";"):
                self.connection.execute(statement)
            self.connection.execute(f"PRAGMA user_version = {version:d}")
        elif found != version:
            self.connection.execute("ROLLBACK")
            raise ValueError(other_version(self.path, found, version))
        self.connection.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is done within it is stored at its end, or nothing if it raises.

        Raises Refused, to be sent again, where the disk is full or another process holds the file.
        """
        with self.lock:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                yield self.connection
                self.connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._undo()
                raise refusal_of(error) from error
            except BaseException:
                self._undo()
                raise

    def _undo(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def close(self) -> None:
        with self.lock:
            self.connection.close()


@contextmanager
def reading(path: Path, *, version: int, cure: str) -> Iterator[sqlite3.Connection]:
    """A database to read all of one moment from, though it be nobody's to write, as a copy may be.

    Its server may be running. Raises ValueError, with the `cure`, for a file that is no whole
    database, also where this shows as it is read; and for one of another version.
    """
    # A server that has it open, or was killed, keeps what is new in a log beside it. Without one,
    # the file is all there is: read as that, it leaves no log and no index of one behind.
    _, log, _ = files_of(path.name)
    fixed = not path.with_name(log).exists()
    address = f"file:{quote(str(path))}?mode=ro{'&immutable=1' if fixed else ''}"
    try:
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as base:
            base.row_factory = sqlite3.Row
            base.execute("BEGIN")
            (found,) = base.execute("PRAGMA user_version").fetchone()
            if found == 0:
                raise ValueError(f"{path}: empty, or no database of a study; {cure}")
            if found != version:
                raise ValueError(other_version(path, found, version))
            yield base
    except sqlite3.Error as error:
        raise ValueError(f"{path}: no whole database of a study ({error}); {cure}") from error


def other_version(path: Path, found: int, here: int) -> str:
    return (
        f"{path}: made by another version (schema {found}, here {here}); go on with that version "
        "of attnlabels"
    )


def refusal_of(error: sqlite3.OperationalError) -> Exception:
    """What the client is told of an error of SQLite; the error itself where it is our own."""
    if any(word in str(error) for word in FULL):
        return Refused(507, "The server's disk is full or cannot be written.", retry_s=RETRY_S)
    if any(word in str(error) for word in BUSY):
        return Refused(503, "The server is busy.", retry_s=RETRY_S)
    return error
