import socket
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from attnlabels import cli
from attnlabels.sessions.store import DATABASE
from taking_part import Participant, Server, running, shown, somebody, write_experiment


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    return write_experiment(tmp_path_factory.mktemp("made") / "experiment", per_class=12)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def stored(results: Path) -> set[str]:
    with closing(sqlite3.connect(results / DATABASE)) as db:
        return {row[0] for row in db.execute("SELECT id FROM trials WHERE stored IS NOT NULL")}


def test_the_folder_of_results_has_all_files_and_is_gone_on_with(experiment, results):
    with running(experiment, results) as opened:
        somebody(opened).agree()
    names = {path.name for path in results.iterdir()}
    assert names >= {"settings.yaml", "texts.yaml", "consent.md", "results.sqlite"}
    with running(experiment, results) as opened:
        assert opened.store.counts() == (1, 0)


def test_texts_and_consent_are_those_of_the_folder(experiment, results):
    with running(experiment, results):
        pass
    texts = (results / "texts.yaml").read_text()
    (results / "texts.yaml").write_text(texts.replace("Too slow", "Zu langsam", 1))
    (results / "consent.md").write_text("# Ja?")
    with running(experiment, results) as opened:
        start = somebody(opened).get("start.json").json()
        assert start["texts"]["too_slow"] == "Zu langsam" and start["consent"]["text"] == "# Ja?"
    (results / "texts.yaml").write_text(texts.replace("too_slow: Too slow\n", ""))
    with (
        pytest.raises(ValueError, match=r"texts.yaml: too_slow is missing; add it"),
        running(experiment, results),
    ):
        pass


def test_one_server_at_a_time(experiment, results):
    with (
        running(experiment, results),
        pytest.raises(BlockingIOError, match="results: another server runs on it"),
        running(experiment, results),
    ):
        pass


def test_settings_are_given_once(experiment, results, tmp_path):
    given = tmp_path / "mine.yaml"
    given.write_text("block: 8\n")
    with running(experiment, results, settings=given) as opened:
        assert opened.store.settings.block == 8
    with running(experiment, results):  # those of the folder
        pass
    given.write_text("block: 4\n")
    with (
        pytest.raises(ValueError, match="mine.yaml: block 4, begun with 8; .* another folder"),
        running(experiment, results, settings=given),
    ):
        pass
    text = (results / "settings.yaml").read_text()
    (results / "settings.yaml").write_text(text.replace("block: 8 ", "block: 9 "))
    with (
        pytest.raises(ValueError, match="settings changed since its first start: block is 9, be"),
        running(experiment, results),
    ):
        pass


def test_a_folder_of_something_else_is_left_alone(experiment, results):
    results.mkdir()
    (results / "thesis.txt").write_text("mine")
    with (
        pytest.raises(FileExistsError, match="results is there and holds no results; name a new"),
        running(experiment, results),
    ):
        pass
    assert [path.name for path in results.iterdir()] == ["thesis.txt"]


def test_a_start_that_fails_leaves_nothing(results, tmp_path):
    with pytest.raises(FileNotFoundError, match="stimuli.csv"), running(tmp_path, results):
        pass
    assert not results.exists()


def test_new_settings_that_are_refused_leave_nothing(experiment, results, tmp_path):
    given = tmp_path / "mine.yaml"
    given.write_text("keys: [s, s]\n")
    with (
        pytest.raises(ValueError, match="expected 2 different ones"),
        running(experiment, results, settings=given),
    ):
        pass
    assert not results.exists()
    results.mkdir()
    with (
        pytest.raises(ValueError, match="expected 2 different ones"),
        running(experiment, results, settings=given),
    ):
        pass
    assert results.is_dir() and not [*results.iterdir()]
    given.write_text("keys: [s, l]\n")
    with running(experiment, results, settings=given):
        pass


def test_nothing_that_was_stored_is_lost_by_kills(experiment, results):
    answered: set[str] = set()
    server = Server(experiment, results)
    try:
        http = httpx.Client(base_url=server.address, timeout=5)
        person = Participant(http)
        person.agree()
        session = person.session()
        trials, keys = session["trials"], session["keys"]

        def send() -> None:
            for trial in trials:
                if trial["id"] in answered:
                    continue
                try:
                    person.post("trial", **shown(trial, keys[trial["class"]]))
                except httpx.HTTPError:
                    return
                answered.add(trial["id"])

        for kill_after in (3, 11):
            sender = threading.Thread(target=send)
            sender.start()
            while len(answered) < kill_after:
                sender.join(0.001)
            server.kill()
            sender.join()
            assert answered <= stored(results)
            server = Server(experiment, results, port=server.port)
        assert {each["id"] for each in person.session()["trials"]} == {
            each["id"] for each in trials
        } - stored(results)
        send()
        assert stored(results) == {each["id"] for each in trials}
        assert person.session()["trials"] == []
        assert server.stop() == 0
        http.close()
    finally:
        server.kill()


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """The status of the command and what it says, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def of(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["attnlabels", "experiment", *words])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return int(left.value.code or 0), capsys.readouterr().err

    return of


def test_what_is_wrong_is_one_line_with_status_1(experiment, call, tmp_path):
    start = ("start", str(experiment), "--results", "results", "--no-open")
    (tmp_path / "bad.yaml").write_text("stimulus: 300\n")
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for words, message in (
            (("start", "none", "--results", "results", "--no-open", "--port", "0"), "none/stimul"),
            ((*start, "--port", port), "give another --port"),
            ((*start, "--port", "0", "--settings", "bad.yaml"), "bad.yaml.stimulus is unknown"),
            ((*start, "--port", "0", "--settings", "no.yaml"), "no.yaml"),
            ((*start, "--port", "0", "--host", "0.0.0.0"), "give --join-code CODE"),
            (("export", "none", "--out", "trials.csv"), "none/results.sqlite: no such file"),
        ):
            status, said = call(*words)
            assert status == 1 and len(said.splitlines()) == 1 and message in said
            assert not (tmp_path / "results").exists()
