import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from attnlabels.serving.database import Database, reading
from attnlabels.serving.refusals import Refused

SCHEMA = "CREATE TABLE things (n INTEGER PRIMARY KEY, text TEXT)"


def opened(path, version=1):
    return Database(path, schema=SCHEMA, version=version)


def count(database):
    with database.transaction() as db:
        return db.execute("SELECT count(*) FROM things").fetchone()[0]


def test_a_transaction_is_kept_whole_or_not_at_all(tmp_path):
    database = opened(tmp_path / "a.sqlite")
    with database.transaction() as db:
        db.execute("INSERT INTO things VALUES (1, 'a')")
    with pytest.raises(KeyError), database.transaction() as db:
        db.execute("INSERT INTO things VALUES (2, 'b')")
        raise KeyError
    assert count(database) == 1


def test_it_is_opened_again_with_what_is_in_it(tmp_path):
    first = opened(tmp_path / "a.sqlite")
    with first.transaction() as db:
        db.execute("INSERT INTO things VALUES (1, 'a')")
    first.close()
    assert count(opened(tmp_path / "a.sqlite")) == 1


def test_another_version_is_refused(tmp_path):
    opened(tmp_path / "a.sqlite", version=2).close()
    with pytest.raises(ValueError, match=r"a.sqlite: made by another version \(schema 2, here 1\)"):
        opened(tmp_path / "a.sqlite")


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "a.sqlite").write_bytes(b"photograph" * 1000)
    with pytest.raises(ValueError, match=r"a.sqlite: file is not a database"):
        opened(tmp_path / "a.sqlite")


def test_somebody_elses_database_is_refused(tmp_path):
    other = sqlite3.connect(tmp_path / "a.sqlite")
    other.execute("CREATE TABLE mine (n)")
    other.close()
    with pytest.raises(ValueError, match=r"another version \(schema 0, here 1\)"):
        opened(tmp_path / "a.sqlite")


def test_a_full_disk_is_told_and_what_was_there_stays(tmp_path):
    database = opened(tmp_path / "a.sqlite")
    with database.transaction() as db:
        db.execute("INSERT INTO things VALUES (1, 'a')")
        (pages,) = db.execute("PRAGMA page_count").fetchone()
    database.connection.execute(f"PRAGMA max_page_count = {pages}")  # a disk that has no more
    with pytest.raises(Refused) as refused, database.transaction() as db:
        db.execute("INSERT INTO things VALUES (2, ?)", ("b" * 100_000,))
    assert refused.value.status == 507 and refused.value.retry_s
    assert count(database) == 1
    database.connection.execute("PRAGMA max_page_count = 1000000")
    with database.transaction() as db:
        db.execute("INSERT INTO things VALUES (2, ?)", ("b" * 100_000,))
    assert count(database) == 2


def test_a_file_that_another_process_writes_is_told_as_busy(tmp_path, monkeypatch):
    database = opened(tmp_path / "a.sqlite")
    database.connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refused) as refused, database.transaction():
        pass
    assert refused.value.status == 503
    other.execute("ROLLBACK")
    assert count(database) == 0
    other.close()


def test_an_error_of_ours_is_no_refusal(tmp_path):
    database = opened(tmp_path / "a.sqlite")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):  # noqa: SIM117
        with database.transaction() as db:
            db.execute("SELECT * FROM others")


WRITER = """
import sys
from pathlib import Path
from attnlabels.serving.database import Database

database = Database(Path(sys.argv[1]), schema=sys.argv[2], version=1)
for n in range(1_000_000):
    with database.transaction() as db:
        db.execute("INSERT INTO things VALUES (?, ?)", (n, "x" * 5000))
    print(n, flush=True)
"""


def test_what_was_answered_is_there_after_a_kill(tmp_path):
    path = tmp_path / "a.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path, SCHEMA], stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if int(line) == 40:
            os.kill(process.pid, signal.SIGKILL)
    told = 40 + 1
    process.wait()
    process.stdout.close()
    database = opened(path)
    with database.transaction() as db:
        kept = [n for (n,) in db.execute("SELECT n FROM things ORDER BY n")]
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert len(kept) >= told and kept == [*range(len(kept))]


def test_it_is_read_while_its_server_writes_and_nothing_is_left_beside_a_copy(tmp_path):
    server = opened(tmp_path / "a.sqlite")
    read = {"version": 1, "cure": "copy it again"}
    with server.transaction() as db:
        db.execute("INSERT INTO things VALUES (1, 'a')")
    with server.transaction() as db:  # holds the file
        db.execute("INSERT INTO things VALUES (2, 'b')")
        with reading(tmp_path / "a.sqlite", **read) as base:
            assert [row["text"] for row in base.execute("SELECT * FROM things")] == ["a"]
    server.close()
    copy = tmp_path / "copied" / "a.sqlite"
    copy.parent.mkdir()
    copy.write_bytes((tmp_path / "a.sqlite").read_bytes())
    with reading(copy, **read) as base:
        assert len(base.execute("SELECT * FROM things").fetchall()) == 2
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            base.execute("INSERT INTO things VALUES (3, 'c')")
    assert [path.name for path in copy.parent.iterdir()] == ["a.sqlite"]


def test_what_is_no_database_or_another_is_not_read(tmp_path):
    (tmp_path / "a.sqlite").write_bytes(b"photograph" * 1000)
    opened(tmp_path / "b.sqlite", version=2).close()
    for name, why in (("a", "not a database.*; copy it again"), ("b", "another version")):
        path = tmp_path / f"{name}.sqlite"
        with (
            pytest.raises(ValueError, match=f"{name}.sqlite: .*{why}"),
            reading(path, version=1, cure="copy it again"),
        ):
            pass
