import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from attnlabels.serving.refusals import Refused
from attnlabels.sessions.made import read_made
from attnlabels.sessions.settings import read_settings
from attnlabels.sessions.store import DATABASE, Store
from attnlabels.sessions.timing import Shown
from taking_part import shown, write_experiment

SETTINGS = read_settings(None)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    return write_experiment(tmp_path_factory.mktemp("made") / "experiment")


@pytest.fixture
def store(experiment, tmp_path, clock):
    """A store, with changes to the settings; all are closed at the end."""
    opened = []

    def of(folder: Path = tmp_path, *, experiment: Path = experiment, **changed):
        settings = replace(SETTINGS, **changed)
        opened.append(Store(folder, read_made(experiment), settings, app="1", clock=clock))
        return opened[-1]

    yield of
    for each in opened:
        each.database.close()


def enrol(store: Store, count: int = 1) -> list[str]:
    return [store.enrol(consent="v", family="Firefox", language="en") for _ in range(count)]


def rows(store: Store, table: str) -> list[dict]:
    with closing(sqlite3.connect(store.database.path)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY rowid")]


def answer(store: Store, who: str, trial: dict, **other) -> None:
    key = store.session(who)["keys"][trial["class"]]
    store.keep(who, Shown(**shown(trial, key) | other))


def test_sets_groups_and_keys_are_balanced(store):
    opened = store()
    enrol(opened, 24)
    people = rows(opened, "participants")
    for groups in ([0, 1, 2], [3, 4, 5]):
        own = [each for each in people if each["set"] in groups]
        assert len(own) == 12 and sum(each["turn"] for each in own) == 6
        assert all(sum(each["set"] == number for each in own) == 4 for number in groups)
    assert {each["keys"] for each in people} == {
        '{"animal": "s", "object": "l"}',
        '{"animal": "l", "object": "s"}',
    }


def test_keys_may_be_the_same_for_all(store):
    opened = store(keys_go_round=False)
    enrol(opened, 4)
    assert {each["turn"] for each in rows(opened, "participants")} == {0}


def test_the_set_of_who_left_goes_to_the_next_after_a_time(store, clock):
    opened = store(return_minutes=10.0)
    *_, gone = enrol(opened, 6)
    (left,) = (each["set"] for each in rows(opened, "participants") if each["id"] == gone)
    for who in (each["id"] for each in rows(opened, "participants")[:5]):
        clock.now += timedelta(minutes=1)
        answer(opened, who, opened.session(who)["trials"][0])
    clock.now += timedelta(minutes=5, seconds=1)  # 10 since that one came, less since the others
    enrol(opened)
    assert rows(opened, "participants")[-1]["set"] == left


def test_the_set_of_who_finished_is_kept(store, clock):
    opened = store(return_minutes=10.0)
    people = enrol(opened, 6)
    for who in people[:-1]:
        for trial in opened.session(who)["trials"]:
            answer(opened, who, trial)
    assert opened.counts() == (6, 5)
    clock.now += timedelta(days=1)
    enrol(opened)
    *_, left, new = rows(opened, "participants")
    assert new["set"] == left["set"]


def test_a_trial_is_stored_once_with_what_the_server_makes_of_it(store):
    opened = store()
    (who,) = enrol(opened)
    trial = next(each for each in opened.session(who)["trials"] if each["kind"] == "trial")
    answer(opened, who, trial)
    (first,) = (row for row in rows(opened, "trials") if row["stored"])
    assert first["response"] == first["class"] == trial["class"]
    assert (first["outcome"], first["mark"], first["rt_ms"]) == ("answered", "", 431.5)
    assert first["planned_offset_ms"] == pytest.approx(first["offset_ms"], abs=0.01)
    answer(opened, who, trial, rt_ms=1.0)
    assert [row for row in rows(opened, "trials") if row["stored"]] == [first]
    assert trial["id"] not in {each["id"] for each in opened.session(who)["trials"]}
    told = opened.session(who)["over"]
    assert told == [{"block": 1, "correct": 1, "answered": 1, "rt_ms": 431.5}]


def test_a_trial_that_was_left_is_stored_and_not_shown_again(store):
    opened = store()
    (who,) = enrol(opened)
    trial = opened.session(who)["trials"][0]
    opened.keep(who, Shown(id=trial["id"], outcome="interrupted"))
    (row,) = (row for row in rows(opened, "trials") if row["stored"])
    assert (row["outcome"], row["mark"], row["onset_ms"]) == ("interrupted", "interrupted", None)
    assert trial["id"] not in {each["id"] for each in opened.session(who)["trials"]}


def test_what_is_not_the_participants_is_refused_and_changes_nothing(store):
    opened = store()
    one, other = enrol(opened, 2)
    trial = opened.session(one)["trials"][0]
    for who, change, why in [
        (other, {}, "no such trial of this participant"),
        (one, {"id": "made-up"}, "no such trial of this participant"),
        (one, {"id": "' OR 1=1 --"}, "no such trial of this participant"),
        (one, {"key": "x"}, "'x' is no key of this participant"),
        (one, {"rt_ms": 551.0}, "an answer after 550 ms"),
        ("nobody", {}, "no such participant"),
    ]:
        with pytest.raises(Refused, match=why):
            opened.keep(who, Shown(**shown(trial, "s") | change))
    assert not [row for row in rows(opened, "trials") if row["stored"]]


def test_deleted_data_are_gone_and_their_set_goes_to_the_next(store):
    opened = store()
    *_, gone = enrol(opened, 6)
    (left,) = (each["set"] for each in rows(opened, "participants") if each["id"] == gone)
    opened.delete(gone)
    assert len(rows(opened, "participants")) == 5
    assert gone not in {row["participant"] for row in rows(opened, "trials")}
    with pytest.raises(Refused, match="no such participant"):
        opened.session(gone)
    enrol(opened)
    assert rows(opened, "participants")[-1]["set"] == left


def test_results_go_on_with_the_same_alone(store, tmp_path):
    (who,) = enrol(store())
    assert store().has(who)
    with pytest.raises(
        ValueError, match=r"settings changed since its first start: stimulus_ms is 300.0, began 400"
    ):
        store(stimulus_ms=300.0)
    another = write_experiment(tmp_path / "another", per_class=4)
    with pytest.raises(ValueError, match="another: not the stimuli that .* began with; name these"):
        store(experiment=another)


def test_all_settings_are_in_the_database_too(store):
    opened = store()
    (began,) = rows(opened, "began")
    assert json.loads(began["settings"])["answer_ms"] == 150
    assert (Path(opened.database.path).parent / DATABASE).is_file()


def test_handedness_is_one_of_few(store):
    opened = store()
    (who,) = enrol(opened)
    opened.say_handedness(who, "left")
    assert opened.session(who)["handedness"] == "left"
    with pytest.raises(Refused, match="expected one of left, right, both, unsaid"):
        opened.say_handedness(who, "no")
