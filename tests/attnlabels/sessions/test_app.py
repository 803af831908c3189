"""The protocol, over the whole application as it is served, and attacks on it."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.sessions import app
from taking_part import CLASSES, Participant, running, shown, somebody, write_experiment

KEYS = {"texts", "consent", "join", "settings", "session"}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    return write_experiment(tmp_path_factory.mktemp("made") / "experiment")


@pytest.fixture
def opened(experiment, tmp_path):
    with running(experiment, tmp_path / "results") as one:
        yield one


@pytest.fixture
def person(opened) -> Participant:
    one = somebody(opened)
    one.agree()
    return one


def stored(opened) -> list[dict]:
    with opened.store.database.transaction() as db:
        return [dict(row) for row in db.execute("SELECT * FROM trials WHERE stored IS NOT NULL")]


def test_a_person_agrees_and_takes_part_to_the_end(opened):
    person = somebody(opened)
    start = person.get("start.json").json()
    assert start.keys() == KEYS and start["session"] is None and not start["join"]
    assert "no ethics approval" in start["consent"]["text"]
    person.agree()
    person.post("handedness", handedness="left")
    session = person.take_part()
    assert session["keys"].keys() == {*CLASSES} and session["blocks"] == 1
    assert [each["kind"] for each in session["trials"]] == ["practice"] * 2 + ["trial"] * 6
    assert opened.store.counts() == (1, 1)
    assert person.session()["trials"] == [] and person.session()["handedness"] == "left"
    assert all(row["response"] == row["class"] for row in stored(opened))


def test_pictures_are_asked_for_by_number_and_are_those_of_the_trials(person):
    trial = next(each for each in person.session()["trials"] if each["kind"] == "practice")
    answer = person.get(f"pictures/{trial['picture']}")
    assert answer.headers["content-type"] == "image/png"
    picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert picture[12, 12].argmax() == CLASSES.index(trial["class"])
    # all of their addresses are of one form: they tell nothing of the class or the share
    assert {type(each["picture"]) for each in person.session()["trials"]} == {int}


def test_a_picture_that_was_exchanged_or_is_gone_is_not_shown(tmp_path):
    made = write_experiment(tmp_path / "experiment")
    with running(made, tmp_path / "results") as opened:
        person = somebody(opened)
        person.agree()
        number = person.session()["trials"][0]["picture"]
        path = made / opened.store.made.pictures[number]
        before = person.get(f"pictures/{number}").content
        path.write_bytes(before[:-1] + b"x")  # of the same size
        refused = person.get(f"pictures/{number}", 500).json()["error"]
        assert refused == f"picture {number} is not the one that the server began with; put it back"
        path.unlink()
        refused = person.get(f"pictures/{number}", 500).json()["error"]
        assert refused == f"picture {number} cannot be read any more; put it back"
        path.write_bytes(before)
        assert person.get(f"pictures/{number}").content == before


def test_an_experiment_that_was_made_anew_meanwhile_is_not_shown(tmp_path):
    made = write_experiment(tmp_path / "experiment")
    with running(made, tmp_path / "results") as opened:
        person = somebody(opened)
        person.agree()
        shutil.rmtree(made)
        write_experiment(made, classes=[*reversed(CLASSES)])  # colours go with the numbers
        trial = next(each for each in person.session()["trials"] if each["kind"] == "practice")
        person.get(f"pictures/{trial['picture']}", 500)


@pytest.mark.parametrize(
    "number",
    [
        "99999",
        "-1",
        "x",
        "0x1",
        "1.5",
        "%2e%2e",
        "..%2fstimuli.csv",
        "٣",
        "9" * 400,
        "0" * 9 + "99",
    ],
)
def test_pictures_that_are_none_are_refused(person, number):
    assert person.http.get(f"/pictures/{number}").status_code == 404


def test_pictures_are_for_who_agreed(opened):
    assert somebody(opened).get("pictures/0", 401).json()["error"].startswith("nobody has agreed")


def test_another_ones_trial_and_a_made_up_one_are_refused(opened, person):
    other = somebody(opened)
    other.agree()
    trial = person.session()["trials"][0]
    assert other.answer(trial, "s", 404) == {"error": "no such trial of this participant"}
    assert person.answer(trial | {"id": "f" * 16}, "s", 404)["error"].startswith("no such trial")
    assert stored(opened) == []


def test_a_replay_is_answered_alike_and_stored_once(opened, person):
    trial = person.session()["trials"][0]
    first = person.answer(trial, "s")
    before = stored(opened)
    assert person.answer(trial, "l") == first == {"stored": trial["id"]}
    assert stored(opened) == before and before[0]["key"] == "s"


def test_a_set_is_given_once_to_who_asks_twice(opened, person):
    first = person.session()
    again = person.agree()["participant"]
    assert again == first["participant"] and person.session() == first
    assert opened.store.counts() == (1, 0)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"share": 1.0}, "trial.share is unknown"),
        ({"correct": True}, "trial.correct is unknown"),
        ({"rt_ms": -1.0}, "trial.rt_ms"),
        ({"rt_ms": 560.0}, "an answer after 550 ms"),
        ({"rt_ms": "1"}, "trial.rt_ms"),
        ({"onset_ms": 1e300}, "trial.onset_ms"),
        ({"outcome": "right"}, "trial.outcome"),
        ({"key": "q"}, "'q' is no key of this participant"),
        ({"id": "x" * 65}, "trial.id"),
        ({"frames": 10**12}, "trial.frames"),
    ],
)
def test_what_a_page_cannot_tell_is_refused_by_name(opened, person, other, why):
    trial = person.session()["trials"][0]
    assert why in person.post("trial", 400, **shown(trial, "s") | other)["error"]
    assert stored(opened) == []


def test_a_text_that_was_changed_is_agreed_to_anew(opened):
    assert "changed meanwhile" in somebody(opened).agree(409, consent="000000000000")["error"]
    assert opened.store.counts() == (0, 0)


def test_a_join_code_is_asked_for(experiment, tmp_path):
    with running(experiment, tmp_path / "results", join_code="lab7") as opened:
        person = somebody(opened)
        assert person.get("start.json").json()["join"]
        assert person.agree(403)["error"] == "wrong code"
        assert opened.store.counts() == (0, 0)
        person.agree(code="lab7")
        assert opened.store.counts() == (1, 0)


def test_deleted_data_are_gone_and_the_browser_begins_anew(opened, person):
    person.take_part()
    person.post("delete")
    assert stored(opened) == [] and opened.store.counts() == (0, 0)
    assert person.session() is None
    person.post("delete", 401)


def test_a_cookie_of_deleted_data_is_nobodys(opened, person):
    cookies = dict(person.http.cookies)
    trial = person.session()["trials"][0]
    person.post("delete")
    person.http.cookies.update(cookies)
    assert person.session() is None
    person.answer(trial, "s", 401)
    assert person.agree()["participant"]


def test_somebody_else_may_be_next_in_the_same_browser(opened, person):
    first = person.session()["participant"]
    person.post("leave")
    assert person.session() is None
    person.agree()
    assert person.session()["participant"] != first and opened.store.counts() == (2, 0)


def test_the_page_is_small_and_asks_nobody_else(opened):
    person = somebody(opened)
    page = person.get("").text
    names = [path.name for path in (Path(app.__file__).parent / "pages").iterdir()]
    size = len(page)
    for name in {*names, "jspsych.js", "page.css", "server.js", "elements.js", "words.js"}:
        if not name.endswith(".html"):
            size += len(person.get(f"static/{name}").content)
    assert 100_000 < size < 300_000
    policy = person.get("").headers["content-security-policy"]
    assert "script-src 'self';" in policy and "default-src 'none'" in policy
    assert "http:" not in page and "https:" not in page
    person.get("static/README.md", 404)
    person.get(f"static/{os.pardir}%2Fsettings.yaml", 404)


def test_only_its_own_pages_may_post(opened, person):
    trial = shown(person.session()["trials"][0], "s")
    for headers in ({"origin": "http://elsewhere.example"}, {"x-attnlabels": "guess"}):
        answer = person.http.post("/api/trial", json=trial, headers=headers)
        assert answer.status_code == 403
    assert person.http.get("/", headers={"host": "evil.example"}).status_code == 421
    assert stored(opened) == []


def test_more_than_two_classes_have_a_key_each(tmp_path):
    classes = ["bird", "cat", "dog"]
    made = write_experiment(tmp_path / "three", classes=classes)
    with running(made, tmp_path / "results") as opened:
        people = [somebody(opened) for _ in range(3)]
        for each in people:
            each.agree()
        keys = [each.session()["keys"] for each in people]
        assert all({*each.values()} == {*"skl"} and [*each] == classes for each in keys)
        people[0].take_part()
        assert all(row["response"] == row["class"] for row in stored(opened))
