import os
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from attnlabels.collecting.rounds import OUTCOMES as BY_TASK
from attnlabels.collecting.start import PAGES, SHARED, Collection, static_files
from attnlabels.pipeline.params import read
from attnlabels.serving.safety import TOKEN_HEADER, Hosts
from collected import Player, make_images, opened, painted_partner, played, settle

OUTCOMES = {each for outcomes in BY_TASK.values() for each in outcomes}
LIMIT = 300_000  # bytes of all that a page loads, but the images
COLLECT = ("-c", "from attnlabels.cli import main; main()", "collect", "start")


@pytest.fixture
def images(tmp_path):
    return make_images(tmp_path / "images")


def take_part(images, folder, **options):
    with opened(images, folder, **options) as collection:
        player = Player(collection)
        player.agree()
        player.finish(player.post("next"))


def open_again(images, folder, **options):
    with opened(images, folder, **options):
        pass


def test_a_study_goes_on_with_all_that_is_in_it(images, tmp_path):
    take_part(images, tmp_path / "study")
    with opened(images, tmp_path / "study") as collection:
        assert collection.game.plays.finished.sum() == 0  # it was practice
        take = Player(collection)
        take.agree()
        with collection.database.transaction() as db:
            assert db.execute("SELECT count(*) FROM participants").fetchone()[0] == 2


def test_plays_are_counted_again_when_a_server_begins(images, tmp_path):
    settle(tmp_path / "study", practice=0)
    take_part(images, tmp_path / "study")
    with opened(images, tmp_path / "study") as collection:
        assert collection.game.plays.finished.sum() == 1
        player = Player(collection)
        player.agree()
        player.post("next")
    with opened(images, tmp_path / "study") as collection:
        assert len(collection.game.plays.handed) == 1


def test_settings_can_be_changed_until_somebody_takes_part(images, tmp_path):
    folder = tmp_path / "study"
    open_again(images, folder)
    settle(folder, rounds=5, paint={"seconds": 3.0})
    take_part(images, folder)
    settle(folder, paint={"seconds": 4.0})
    with pytest.raises(
        ValueError, match=r"study.yaml: paint.seconds is 4.0 and was 3.0 when people took part"
    ):
        open_again(images, folder)
    settle(folder, paint={"seconds": 3.0})
    open_again(images, folder)


def test_images_can_be_changed_until_somebody_takes_part(images, tmp_path):
    folder = tmp_path / "study"
    open_again(images, folder)
    (images / "cat" / "0.png").rename(images / "cat" / "9.png")
    take_part(images, folder)
    (images / "cat" / "9.png").rename(images / "cat" / "0.png")
    with pytest.raises(ValueError, match=r"images is not as .*images.csv has it: gone: cat/9.png"):
        open_again(images, folder)
    (images / "cat" / "0.png").rename(images / "cat" / "9.png")
    (images / "cat" / "9.png").write_bytes((images / "dog" / "0.png").read_bytes())
    with pytest.raises(ValueError, match="changed: cat/9.png"):
        open_again(images, folder)


def test_the_partner_stays_the_same(images, tmp_path):
    take_part(images, tmp_path / "study")
    with pytest.raises(ValueError, match=r"another partner \(none\) than by colour"):
        open_again(images, tmp_path / "study", partner=painted_partner)


def test_texts_and_consent_can_be_changed_at_any_time(images, tmp_path):
    take_part(images, tmp_path / "study")
    (tmp_path / "study" / "consent.md").write_text("Another text.")
    with opened(images, tmp_path / "study") as collection:
        Player(collection).agree()
        with collection.database.transaction() as db:
            versions = [v for (v,) in db.execute("SELECT consent FROM participants")]
    assert len({*versions}) == 2


def test_a_study_that_is_refused_is_not_held(images, tmp_path):
    settle(tmp_path / "study", catch=["nothing"], catch_share=0.1)
    for _ in range(2):
        with pytest.raises(ValueError, match="no image is called so"):
            open_again(images, tmp_path / "study")


def test_a_new_study_that_is_refused_leaves_nothing_that_refuses_what_mends_it(tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for i in range(4):
        cv2.imwrite(str(flat / f"{i}.png"), np.full((40, 40, 3), 60 * i, np.uint8))
    with pytest.raises(ValueError, match="or take --task peek or look"):
        Collection(flat, tmp_path / "study")
    assert not (tmp_path / "study").exists()
    Collection(flat, tmp_path / "study", task="peek").close()


@pytest.mark.parametrize("linked", [False, True])
def test_a_refused_study_leaves_the_folder_that_was_there(tmp_path, linked):
    """And what is told is why it was refused, not that a link is no folder."""
    (tmp_path / "photos").mkdir()
    own = tmp_path / "own"
    own.mkdir()
    if linked:
        (tmp_path / "link").symlink_to(own)
    with pytest.raises(ValueError, match="photos: "):
        Collection(tmp_path / "photos", tmp_path / "link" if linked else own)
    assert own.is_dir() and not [*own.iterdir()]


def test_an_image_beside_the_classes_folders_is_named(images, tmp_path):
    (images / "stray.png").write_bytes((images / "cat" / "0.png").read_bytes())
    with pytest.raises(ValueError, match=r"images: stray.png beside the folders .*; move what"):
        Collection(images, tmp_path / "study")


def test_one_server_a_study(images, tmp_path):
    with opened(images, tmp_path / "study"):  # noqa: SIM117
        with pytest.raises(BlockingIOError, match="study: another server runs on it"):
            open_again(images, tmp_path / "study")


def test_the_page_and_all_that_it_loads_are_light():
    files = static_files(PAGES, SHARED)
    assert sum(path.stat().st_size for path in files.values()) <= LIMIT
    assert len(files) == len([*PAGES.iterdir()]) + len([*SHARED.iterdir()])  # no name is twice


def test_every_sentence_of_the_pages_is_a_text_and_every_text_is_said():
    names = {*read(PAGES.parent / "texts.yaml")} - {"classes", "language", "title"}
    script = (PAGES / "game.js").read_text()
    said = {*re.findall(r'say\(\s*"(\w+)"', script)}
    assert said <= names
    # the others are put together of what they are about, or named apart from where they are said
    tasks = {f"{how}_{task}" for how in ("intro",) for task in ("paint", "peek", "look")}
    tasks |= {f"{task}_this" for task in ("paint", "peek", "look")}
    assert names - said - tasks <= {*re.findall(r'[".](\w+)', script)} | {*OUTCOMES}


@contextmanager
def started(images, folder, *words):
    """The command, once it answers: the process and its address; it does not outlive the test."""
    options = ("--study", str(folder), "--no-open", "--port", "0", *words)
    process = subprocess.Popen(
        [sys.executable, *COLLECT, str(images), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = [process.stdout.readline() for _ in range(3)]
        assert said[1].startswith("http"), said
        yield process, said[1].strip()
    finally:
        process.kill()
        process.communicate()


def client(address):
    http = httpx.Client(base_url=address)
    token = re.search(r'name="token" content="(\w+)"', http.get("/").text)[1]
    http.headers[TOKEN_HEADER] = token
    return http


def join(http):
    version = http.get("/start.json").json()["consent"]["version"]
    body = {"consent": version, "language": "en", "code": None}
    return http.post("/api/consent", json=body).json()["participant"]


def test_the_command_says_where_it_is_and_stops_when_told(images, tmp_path):
    with started(images, tmp_path / "study", "--task", "look") as (process, address):
        with urllib.request.urlopen(address) as page:
            assert page.status == 200
        process.send_signal(signal.SIGINT)
        assert process.communicate() == ("", "") and process.returncode == 0
    assert "task: look" in (tmp_path / "study" / "study.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "give --join-code CODE"),
        (["--partner", "nothing.safetensors"], "nothing.safetensors: no weights here"),
        (["--study", "images"], "is there and no study; name a new folder"),
    ],
    ids=["host", "partner", "study"],
)
def test_bad_input_gets_a_line_and_nothing_stays(images, tmp_path, call_python, words, said):
    options = ("--study", "study", "--no-open", "--port", "0", *words)
    done = call_python(*COLLECT, "images", *options, cwd=tmp_path)
    assert done.returncode == 1 and said in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("attnlabels: error: ")


def test_no_finished_round_is_lost_by_kills_and_none_is_there_twice(tmp_path):
    images, folder = make_images(tmp_path / "images", each=30, size=(8, 8)), tmp_path / "study"
    settle(folder, rounds=1000, practice=0)
    cookies, sent, answered = {}, None, {}
    for kill in range(4):
        with started(images, folder) as (process, address), closing(client(address)) as http:
            http.cookies.update(cookies)
            if not cookies:
                join(http)
                cookies = dict(http.cookies)
            if sent:  # what was not answered is sent again
                answered[sent["round"]] = http.post("/api/round", json=sent).json()
            for n in range(15 if kill < 3 else 0):
                given = http.post("/api/next", json={}).json()
                sent = played(given) | {"duration_ms": 1000.0 * kill + n}
                if n == 14:
                    os.kill(process.pid, signal.SIGKILL)
                with suppress(httpx.TransportError):
                    answered[sent["round"]] = http.post("/api/round", json=sent).json()
    with closing(sqlite3.connect(folder / "study.sqlite")) as db:
        kept = [row[0] for row in db.execute("SELECT id FROM rounds WHERE finished IS NOT NULL")]
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert sorted(kept) == sorted(answered) and len(kept) == 45
    assert all(answer["stored"] for answer in answered.values())


def test_a_reverse_proxy_may_have_it_anywhere(images, tmp_path):
    with closing(
        Collection(
            images,
            tmp_path / "study",
            hosts=Hosts("127.0.0.1", ["lab.example"]),
            root_path="/study",
        )
    ) as collection:
        player = Player(collection, host="lab.example", origin="http://lab.example")
        player.http.base_url = "http://lab.example"
        player.agree()
        assert [cookie.path for cookie in player.http.cookies.jar] == ["/study"]
        page = player.http.get("/").text
    assert not re.findall(r'(?:href|src)="/', page)  # all addresses are below the page's own


def test_pages_name_no_other_server():
    for path in static_files(PAGES, SHARED).values():
        found = re.findall(r"(?:https?:)?//[\w.]+\.\w+", path.read_text())
        assert [each for each in found if "www.w3.org" not in each] == [], path


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_without_a_partner_it_waits_for_no_torch(images, tmp_path):
    with started(images, tmp_path / "study") as (process, _):
        assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text()
