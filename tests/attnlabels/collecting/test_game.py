import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

import pytest

from attnlabels.collecting.pictures import Pictures
from attnlabels.serving.refusals import Refused
from collected import (
    CLASSES,
    Player,
    make_images,
    opened,
    painted_partner,
    played,
    rounds_in,
    settle,
    stroke,
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture
def study(images, tmp_path):
    """A study that is open, with these settings and options."""
    contexts = []

    def make(partner=None, join_code=None, **settings):
        settle(tmp_path / "study", **{"practice": 0, "repeat_share": 0.0} | settings)
        context = opened(images, tmp_path / "study", partner=partner, join_code=join_code)
        contexts.append(context)
        return context.__enter__()

    yield make
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.fixture
def game(study):
    return study(partner=painted_partner)


def paint(player, given, count):
    """Asks the partner as the page does: each ten bubbles; the last answer."""
    bubbles = stroke(count, step=(given["width"] - 10) / count)
    for n in range(10, count + 1, 10):
        answer = player.post("guess", round=given["round"], bubbles=bubbles[:n])
    return answer, [[*each, "bubble"] for each in bubbles]


def test_somebody_agrees_plays_and_is_kept(game):
    player = Player(game, **{"user-agent": "X Chrome/1 secret"})
    who = player.agree(language="de-AT")
    rounds = player.play()
    assert len(rounds) == 12 + 1 and rounds[-1]["over"]
    with game.database.transaction() as db:
        (row,) = map(dict, db.execute("SELECT * FROM participants"))
    assert row["id"] == who and row["family"] == "Chrome" and row["language"] == "de-AT"
    assert row["consent"] == game.game.version
    kept = rounds_in(game)
    assert [each["position"] for each in kept] == [*range(12)]
    assert {each["image"] for each in kept} == {*range(12)}
    for each in kept:
        assert each["participant"] == who and each["outcome"] == "timeout" and each["score"] == 0
        assert datetime.fromisoformat(each["handed"][:-1]) <= datetime.fromisoformat(
            each["finished"][:-1]
        )
        assert json.loads(each["samples"]) == [
            [0.0, 10.0, 20.0, "down"],
            [0.0, 10.0, 20.0, "bubble"],
        ]
        assert each["frames"] == 420 and each["pointer"] == "mouse" and each["checks"] == "{}"


def test_nothing_of_a_person_is_kept_but_what_the_consent_says(game):
    Player(game, **{"user-agent": "Chrome/1 secret", "x-forwarded-for": "203.0.113.9"}).agree()
    path = game.study.folder
    everything = b"".join(each.read_bytes() for each in path.glob("study.sqlite*"))
    for told in (b"secret", b"203.0.113.9", b"testclient"):
        assert told not in everything


def test_what_the_page_begins_with(game):
    player = Player(game)
    start = player.http.get("/start.json").json()
    assert start["task"] == "paint" and start["partner"] and not start["join"]
    assert start["participant"] is None and "ethics" in start["consent"]["text"]
    who = player.agree()
    assert player.http.get("/start.json").json()["participant"] == who


def test_without_agreeing_there_is_no_round(game):
    player = Player(game)
    assert "agreed" in player.post("next", 401)["error"]
    assert player.http.get("/images/0").status_code == 401
    assert player.post("consent", 409, consent="old", language="en")["error"].startswith("the text")
    assert player.post("consent", 400, consent=game.game.version, language="<b>")
    assert player.post("next", 401)


def test_agreeing_twice_is_agreeing_once(game):
    player = Player(game)
    assert player.agree() == player.agree()
    assert Player(game).agree() != player.agree()


def test_a_join_code_is_asked_for(study):
    player = Player(study(join_code="lab7"))
    assert player.http.get("/start.json").json()["join"]
    version = player.http.get("/start.json").json()["consent"]["version"]
    for code in (None, "lab8"):
        player.post("consent", 403, consent=version, language="en", code=code)
    player.agree(code="lab7")


def test_the_partner_names_it_once_enough_is_painted(game):
    player = Player(game)
    player.agree()
    given = player.post("next")
    while given["class"] == CLASSES[0]:  # named before anything is seen
        player.finish(given)
        given = player.post("next")
    few = player.post("guess", round=given["round"], bubbles=stroke(1))
    assert few["top"][0][0] == CLASSES[0] and not few["recognised"]
    answer, samples = paint(player, given, 20)
    assert answer["recognised"] and answer["top"][0] == [given["class"], pytest.approx(0.8)]
    stored = player.finish(given, outcome="recognised", duration_ms=1234.0, samples=samples)
    guesses = json.loads(rounds_in(game)[-1]["guesses"])
    first = next(each for each in guesses if each["top"][0][0] == given["class"])
    assert stored["score"] == pytest.approx(100 * (1 - first["t_ms"] / 7000))
    assert [each["n"] for each in guesses] == [1, 10, 20]
    assert rounds_in(game)[-1]["checks"] == "{}"
    assert player.post("next")["score"] == round(stored["score"])


def test_a_partner_that_may_name_several_recognises_by_the_top_k(study):
    collection = study(partner=painted_partner, paint={"top_k": 3})
    player = Player(collection)
    player.agree()
    given = player.post("next")
    assert player.post("guess", round=given["round"], bubbles=stroke(1))["recognised"]


def test_a_recognition_that_the_server_does_not_know_of_is_not_believed(game):
    player = Player(game)
    player.agree()
    given = player.post("next")
    while given["class"] == CLASSES[0]:
        player.finish(given)
        given = player.post("next")
    assert player.finish(given, outcome="recognised", duration_ms=1.0)["score"] == 0
    kept = rounds_in(game)[-1]
    assert kept["outcome"] == "timeout" and json.loads(kept["checks"]) == {"unbelieved": 1}


def test_bubbles_that_are_not_those_that_the_partner_saw_are_noted(game):
    player = Player(game)
    player.agree()
    given = player.post("next")
    _, samples = paint(player, given, 20)
    elsewhere = [[t, x, y + 30, event] for t, x, y, event in samples]
    player.finish(given, samples=elsewhere)
    assert json.loads(rounds_in(game)[-1]["checks"]) == {"guessed_elsewhere": 1}


def test_a_round_sent_twice_is_kept_once_and_answered_alike(game):
    player = Player(game)
    player.agree()
    given = player.post("next")
    first = player.finish(given)
    assert player.finish(given, duration_ms=1.0, outcome="skipped") == first
    (kept,) = rounds_in(game)
    assert kept["outcome"] == "timeout" and kept["duration_ms"] == 7000
    assert "over" in player.post("guess", 409, round=given["round"], bubbles=stroke(1))["error"]


def test_another_participants_round_and_a_made_up_one_are_refused(game):
    one, other = Player(game), Player(game)
    one.agree()
    other.agree()
    given = one.post("next")
    for name in (given["round"], "0123456789abcdef", "' OR 1=1 --", "", "x" * 10_000):
        body = given | {"round": name}
        assert other.finish(body, 404)["error"] == "no such round of yours"
        other.post("guess", 404, round=name, bubbles=stroke(1))
    (kept,) = rounds_in(game)
    assert kept["finished"] is None
    one.finish(given)


SQL = "x'); DROP TABLE rounds; --"


@pytest.mark.parametrize("field", ["outcome", "pointer", "samples", "round", "frames"])
def test_sql_in_a_field_is_no_sql(game, field):
    player = Player(game)
    player.agree()
    given = player.post("next")
    answer = player.http.post("/api/round", json=played(given) | {field: SQL})
    assert answer.status_code in (400, 404)
    player.finish(given)
    assert len(rounds_in(game)) == 1


def test_an_over_long_round_is_refused_and_its_round_stays_open(game):
    player = Player(game)
    player.agree()
    given = player.post("next")
    samples = [[0.0, 1.0, 1.0, "move"]] * 20_001
    assert "round.samples" in player.finish(given, 400, samples=samples)["error"]
    samples = [[0.123456, 1.123456789, 1.123456789, "move"]] * 40_000
    assert "longer than" in player.finish(given, 413, samples=samples)["error"]
    player.finish(given)


def test_an_open_round_is_handed_out_again_and_never_a_second(game):
    player = Player(game)
    player.agree()
    given = player.post("next")
    for _ in range(3):  # a reload, another window
        assert player.post("next")["round"] == given["round"]
    player.finish(given)
    (kept,) = rounds_in(game)
    assert json.loads(kept["checks"]) == {"handed_again": 3}
    assert player.post("next")["position"] == 1


def test_guesses_of_an_earlier_try_do_not_count(game):
    player = Player(game)
    player.agree()
    given = player.post("next")
    paint(player, given, 20)
    player.post("next")
    player.finish(given, outcome="recognised")
    assert json.loads(rounds_in(game)[-1]["guesses"]) == []
    assert rounds_in(game)[-1]["outcome"] == "timeout"


def test_a_guess_on_its_way_when_the_page_is_loaded_anew_is_of_no_later_try(study):
    entered, answering = threading.Event(), threading.Event()

    def partner(classes):
        quick = painted_partner(classes)

        def see(images):
            entered.set()
            answering.wait(10)
            return quick.see(images)

        return replace(quick, see=see)

    game = study(partner=partner)
    player = Player(game)
    player.agree()
    given = player.post("next")
    bubbles = stroke(140, step=(given["width"] - 10) / 140)
    with ThreadPoolExecutor(1) as thread:
        late = thread.submit(player.post, "guess", 409, round=given["round"], bubbles=bubbles)
        assert entered.wait(10)
        again = player.post("next")
        answering.set()
        assert late.result()["error"] == "this round began anew meanwhile"
    assert again["round"] == given["round"] and rounds_in(game)[-1]["guesses"] == "[]"
    assert player.finish(again, outcome="recognised")["score"] == 0
    kept = rounds_in(game)[-1]
    assert kept["outcome"] == "timeout"
    assert json.loads(kept["checks"]) == {"handed_again": 1, "unbelieved": 1}


def test_what_the_partner_saw_of_an_earlier_try_is_no_sign_of_another_hand(game):
    player = Player(game)
    player.agree()
    given = player.post("next")
    paint(player, given, 20)
    player.finish(player.post("next"))  # over before the partner is asked anew
    assert json.loads(rounds_in(game)[-1]["checks"]) == {"handed_again": 1}


def test_who_deletes_their_data_is_gone_and_others_are_not(game):
    one, other = Player(game), Player(game)
    one.agree()
    who = other.agree()
    one.finish(one.post("next"))
    other.finish(other.post("next"))
    assert game.game.plays.finished.sum() == 2
    assert one.post("delete") == {"deleted": True}
    assert [each["participant"] for each in rounds_in(game)] == [who]
    assert game.game.plays.finished.sum() == 1
    one.post("next", 401)
    one.agree()
    assert one.post("next")["position"] == 0


def test_a_cookie_of_somebody_who_is_deleted_is_nobodys(game):
    player = Player(game)
    player.agree()
    cookies = dict(player.http.cookies)
    player.post("delete")
    player.http.cookies.update(cookies)
    assert "nothing is kept of you" in player.post("next", 401)["error"]
    assert player.http.get("/start.json").json()["participant"] is None


def test_practice_catch_and_repetition_come_as_the_settings_say(study):
    collection = study(
        practice=2, rounds=10, catch=["eel/*"], catch_share=0.2, repeat_share=0.2, repeat_gap=2
    )
    player = Player(collection)
    player.agree()
    rounds = player.play()[:-1]
    kinds = [each["kind"] for each in rounds]
    assert kinds[:2] == ["practice"] * 2 and kinds.count("catch") == 2
    assert kinds.count("repeat") == 2 and kinds.count("play") == 6
    assert all((each["class"] == "eel") == (each["kind"] == "catch") for each in rounds)
    assert [each["left"] for each in rounds[:2]] == [12, 11]


def test_what_is_left_is_told_also_where_images_are_fewer_than_rounds(study):
    player = Player(study(practice=1, rounds=30))
    player.agree()
    assert [each["left"] for each in player.play()[:-1]] == [*range(12, 0, -1)]


def test_repetitions_behind_where_images_end_are_not_promised(study):
    player = Player(study(rounds=20, repeat_share=0.2, repeat_gap=2))
    player.agree()
    left = [each["left"] for each in player.play()[:-1]]
    assert left == [*range(len(left), 0, -1)] and len(left) >= 12


def test_many_participants_play_all_images_alike(study):
    collection = study(rounds=4)
    for _ in range(6):
        player = Player(collection)
        player.agree()
        player.play()
    assert collection.game.plays.finished.tolist() == [2] * 12


def test_the_board_tells_places_and_no_ids(game):
    players = [Player(game) for _ in range(7)]
    ids = [player.agree() for player in players]
    for n, player in enumerate(players):
        while (given := player.post("next")) and not given.get("over"):
            if given["position"] < n:
                _, samples = paint(player, given, 20)
                player.finish(given, outcome="recognised", samples=samples)
            else:
                player.finish(given)
    over = players[0].post("next")
    assert over["score"] == 0 and len(over["board"]) == 6
    assert [row["place"] for row in over["board"]] == [1, 2, 3, 4, 5, 7]
    assert [row["you"] for row in over["board"]] == [False] * 5 + [True]
    points = [row["score"] for row in over["board"]]
    assert points == sorted(points, reverse=True) and points[0] > 0
    assert not any(who in json.dumps(over) for who in ids)


@pytest.mark.parametrize("task", ["peek", "look"])
def test_the_other_tasks_have_no_partner_and_no_points(study, task):
    player = Player(study(task=task))
    player.agree()
    given = player.post("next")
    assert given["task"] == task and given["settings"]["levels"] == 3
    assert player.http.get("/images/0?blur=1").headers["content-type"] == "image/jpeg"
    assert (
        "no partner" in player.post("guess", 409, round=given["round"], bubbles=stroke(1))["error"]
    )
    assert "outcome" in player.finish(given, 400, outcome="recognised")["error"]
    assert player.finish(given)["score"] is None


def test_without_a_partner_people_paint_until_the_time_is_over(study):
    player = Player(study())
    assert not player.http.get("/start.json").json()["partner"]
    player.agree()
    given = player.post("next")
    player.post("guess", 409, round=given["round"], bubbles=stroke(1))
    assert player.finish(given, outcome="recognised")["score"] is None
    assert player.play()[-1] == {"over": True, "score": 0, "board": []}


def test_a_full_disk_is_told_and_the_round_is_kept_when_there_is_room(game):
    player = Player(game)
    player.agree()
    given = player.post("next")
    db = game.database.connection
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    samples = [[0.1 * i, 10.0, 10.0, "move"] for i in range(10_000)]
    answer = player.http.post("/api/round", json=played(given) | {"samples": samples})
    assert answer.status_code == 507 and int(answer.headers["retry-after"]) >= 1
    assert "full" in answer.json()["error"]
    assert rounds_in(game)[0]["finished"] is None
    db.execute("PRAGMA max_page_count = 1000000")
    assert player.finish(given, samples=samples)["stored"]
    assert len(json.loads(rounds_in(game)[0]["samples"])) == 10_000


def test_an_image_that_vanished_is_told(game, monkeypatch):
    player = Player(game)
    player.agree()
    given = player.post("next")

    def gone(self, image):
        raise Refused(500, "image cannot be read any more")

    monkeypatch.setattr(Pictures, "pixels", gone)
    answer = player.post("guess", 500, round=given["round"], bubbles=stroke(1))
    assert "cannot be read" in answer["error"]
    player.finish(given)
