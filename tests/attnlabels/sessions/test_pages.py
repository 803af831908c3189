"""The page in a real browser, as people use it; answers are those of who looks at the screen."""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from attnlabels.sessions.store import DATABASE
from browsing import CHROMIUM, DRIVER, MISSING, PATIENCE_S, Browser
from taking_part import CLASSES, Server, write_experiment

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
# short, and time enough to answer for who is driven over a socket
SETTINGS = """
fixation_ms: [80, 120]
stimulus_ms: 100
answer_ms: 3000
message_ms: 60
block: 3
practice: 1
fullscreen: false
"""
# the number of the class that is on the screen, -1 where nothing is revealed; null: no picture
LOOK = """
const canvas = document.querySelector("canvas");
if (!canvas) return null;
window.eye ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
window.eye.drawImage(canvas, -canvas.width / 2, -canvas.height / 2);
const seen = window.eye.getImageData(0, 0, 1, 1).data;
const colour = [seen[0], seen[1], seen[2]];
if (Math.max(...colour) > 200) return 2 - colour.indexOf(Math.max(...colour));
return colour[0] === 110 ? -1 : null;
"""
# keys go down as soon as the picture is there, by the page itself: a socket would be too slow
WATCH = """
const [keys] = arguments;
window.pressed = 0;
const look = () => {
  const number = (() => { LOOK })();
  const canvas = document.querySelector("canvas");
  if (number !== null && canvas !== window.answered) {
    window.answered = canvas;
    window.pressed += 1;
    const key = keys[Math.max(number, 0)];
    document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  }
  window.watching = requestAnimationFrame(look);
};
cancelAnimationFrame(window.watching);
look();
""".replace("LOOK", LOOK)
# What it is told to begin with, then as of somebody whom it does not know.
NO_COOKIES = """
const asked = window.fetch;
window.fetch = async (path, options) => {
  const answer = await asked(path, options);
  if (path !== "start.json") return answer;
  return new Response(JSON.stringify({ ...(await answer.json()), session: null }));
};
"""
# A server that refuses an answer, though not for what it is.
REFUSING = """
const asked = window.fetch;
window.fetch = async (path, options) => {
  if (path !== "api/trial") return asked(path, options);
  return new Response('{"error": "this server is not called so"}', { status: 421 });
};
"""
# A server that is asked whether somebody may take part, and takes its time.
SLOW_CONSENT = """
const asked = window.fetch;
window.fetch = async (path, options) => {
  if (path === "api/consent") await new Promise((resolve) => setTimeout(resolve, 500));
  return asked(path, options);
};
"""


# A server that was given many wrong codes, once.
MANY_WRONG_CODES = """
const asked = window.fetch;
window.fetch = async (path, options) => {
  if (path !== "api/consent") return asked(path, options);
  window.fetch = asked;
  const headers = { "retry-after": "2" };
  return new Response('{"error": "too many wrong codes came"}', { status: 429, headers });
};
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    return write_experiment(tmp_path_factory.mktemp("made") / "experiment")


class Page:
    """The page in a browser, and what a person does with it."""

    def __init__(self, browser: Browser) -> None:
        self.driver, self.run, self.console = browser.driver, browser.run, browser.console
        self.browser = browser

    def open(self, address: str) -> None:
        self.driver.get(address)

    def press(self, *keys: str) -> None:
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def find(self, selector: str) -> Any:
        """The first such element, None if there is none."""
        return next(iter(self.driver.find_elements(By.CSS_SELECTOR, selector)), None)

    def click(self, selector: str) -> None:
        self.browser.wait(selector).click()

    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    def until(self, found: Callable[[], Any]) -> Any:
        """What is found, as soon as it is something; fails after a time, with the page's text."""
        end = time.monotonic() + PATIENCE_S
        while not (what := found()):
            assert time.monotonic() < end, self.text()
            time.sleep(0.01)
        return what

    def says(self, text: str) -> None:
        """Wait until the page says so."""
        self.until(lambda: text in self.text())

    def strangers(self) -> set[str | None]:
        """Hosts other than this machine that were asked since this was asked last."""
        asked = [url for url in self.browser.requests() if url.startswith(("http", "ws"))]
        assert asked
        return {urlsplit(url).hostname for url in asked} - {"127.0.0.1"}


@pytest.fixture(scope="module")
def opened() -> Iterator[Page]:
    browser = Browser(width=1000, height=800)
    yield Page(browser)
    browser.close()


class Sitting:
    """Somebody at a page of a server, and what is stored of who sat there."""

    def __init__(self, page: Page, server: Server, results: Path) -> None:
        self.page, self.server, self.results = page, server, results
        self.before = self._read("participants")
        page.open(f"{server.address}static/icon.svg")  # a page that asks for nothing meanwhile
        page.driver.delete_all_cookies()
        page.run("localStorage.clear()")
        page.open(server.address)
        page.console()

    def _read(self, table: str) -> list[dict]:
        with closing(sqlite3.connect(self.results / DATABASE)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY rowid")]

    def people(self) -> list[dict]:
        known = {row["id"] for row in self.before}
        return [row for row in self._read("participants") if row["id"] not in known]

    def rows(self) -> list[dict]:
        people = {row["id"] for row in self.people()}
        return [row for row in self._read("trials") if row["participant"] in people]

    def stored(self) -> list[dict]:
        return [row for row in self.rows() if row["stored"]]

    def agree(self) -> None:
        self.page.click("#agree")
        self.page.says("With which hand")
        self.page.click("#jspsych-html-button-response-btngroup button:nth-child(2)")
        self.page.says("What you will do")

    def go_on(self) -> None:
        """The space bar, until the next page is there."""
        before = self.page.text()
        self.page.press(" ")
        self.page.until(lambda: self.page.text() != before)

    def watch(self) -> None:
        """From here on, who sees a picture presses its key; the first one where there is none."""
        legend = self.page.until(
            lambda: self.page.run(
                "return [...document.querySelectorAll('.keys li')].map((each) => each.innerText)"
            )
        )
        keys = {name: key.lower() for key, name in (re.split(r"\s+", each) for each in legend)}
        self.page.run(WATCH, [keys[name] for name in CLASSES])

    def until_a_picture(self) -> None:
        def there() -> bool:
            self.go_on_from_a_page()
            return self.page.find("canvas") is not None

        self.page.until(there)

    def go_on_from_a_page(self) -> None:
        if self.page.find(".go"):
            self.page.press(" ")

    def play(self) -> None:
        """To the end, resting on no page."""

        def over() -> bool:
            self.go_on_from_a_page()
            return "Thank you" in self.page.text()

        self.page.until(over)


@pytest.fixture(scope="module")
def serve(experiment, tmp_path_factory):
    """Starts a server; all are ended with the module."""
    servers = []

    def start(
        *words: str, results: Path | None = None, port: int = 0, settings: str = SETTINGS
    ) -> tuple[Server, Path]:
        folder = results or tmp_path_factory.mktemp("results") / "results"
        (folder.parent / "quick.yaml").write_text(settings)
        words = ("--settings", str(folder.parent / "quick.yaml"), *words)
        servers.append(Server(experiment, folder, *words, port=port))
        return servers[-1], folder

    yield start
    for each in servers:
        each.kill()


@pytest.fixture(scope="module")
def served(serve) -> tuple[Server, Path]:
    return serve()


@pytest.fixture
def sitting(opened, served) -> Sitting:
    """Somebody new sits down at the experiment."""
    return Sitting(opened, *served)


def test_an_experiment_by_keyboard_alone(sitting):
    page = sitting.page
    page.says("no ethics approval")
    for _ in range(9):
        if page.run("return document.activeElement.id") == "agree":
            break
        page.press(Keys.TAB)
    page.press(Keys.ENTER)
    page.says("With which hand")
    page.until(lambda: page.run("return document.activeElement.tagName") == "MAIN")
    page.press(Keys.TAB, Keys.ENTER)
    page.says("6 pictures in 2 blocks")
    sitting.watch()
    sitting.go_on()
    page.says("Practice")
    sitting.go_on()
    page.says("Block 1 of 2\n")
    sitting.go_on()
    page.says("Block 1 of 2 is done")
    assert "Too slow\n0" in page.text()
    sitting.play()
    (person,) = sitting.people()
    assert person["finished"] and person["handedness"] == "left" and person["family"] == "Chrome"
    rows = sitting.rows()
    assert len(sitting.stored()) == len(rows) == 7
    seen = [row for row in rows if row["share"] > 0]
    assert len(seen) > 4 and all(row["response"] == row["class"] for row in seen)
    assert page.console() == [] and page.strangers() == set()


def test_a_double_click_is_one_participant(sitting):
    page = sitting.page
    page.says("no ethics approval")
    page.run(SLOW_CONSENT)
    page.run("for (let i = 0; i < 3; i++) document.querySelector('#agree').click();")
    page.says("With which hand")
    time.sleep(1)  # in which the others would have come
    assert len(sitting.people()) == 1


def test_the_times_of_frames_come_along(sitting):
    sitting.agree()
    sitting.watch()
    sitting.play()
    for row in sitting.stored():
        assert row["started_ms"] < row["onset_ms"] < row["offset_ms"]
        assert row["frames"] >= 1 and 2 < row["period_ms"] < 100
        shown = (row["offset_ms"] - row["onset_ms"]) / row["period_ms"]
        # a busy machine may be late, and then says so
        assert row["mark"] == "late" or abs(shown - 100 / row["period_ms"]) <= 2
        assert row["planned_onset_ms"] - row["started_ms"] > row["fixation_ms"] - row["period_ms"]
        assert 0 <= row["rt_ms"] < 3100
        assert (row["ratio"], row["width"], row["height"], row["hidden"]) == (1, 24, 24, 0)
        assert row["trial_index"] > 0 and row["time_elapsed"] > 0


def test_a_browser_that_keeps_no_cookies_is_told_of(sitting):
    sitting.page.browser.wait("#agree")
    sitting.page.run(NO_COOKIES)
    sitting.page.click("#agree")
    sitting.page.says("This does not work: this browser keeps no cookies; allow them")


def test_who_does_not_agree_leaves_nothing(sitting):
    sitting.page.click("#decline")
    sitting.page.says("Nothing was stored")
    assert sitting.people() == [] and sitting.page.console() == []


def test_a_reload_goes_on_and_shows_nothing_twice(sitting):
    sitting.agree()
    sitting.until_a_picture()
    sitting.page.open(sitting.server.address)  # within a trial
    sitting.page.says("What you will do")
    (left,) = sitting.stored()
    assert (left["outcome"], left["mark"], left["position"]) == ("interrupted", "interrupted", 0)
    sitting.watch()
    sitting.play()
    rows = sitting.stored()
    assert len(rows) == len(sitting.rows()) == 7
    assert [row["outcome"] for row in rows].count("interrupted") == 1
    assert len(sitting.people()) == 1


def test_a_server_that_is_killed_loses_nothing(opened, serve):
    server, results = serve()
    sitting = Sitting(opened, server, results)
    sitting.agree()
    sitting.watch()
    while len(sitting.stored()) < 2:
        if sitting.page.find(".go"):
            sitting.page.press(" ")
    server.kill()
    before = sitting.page.run("return window.pressed")
    sitting.page.until(lambda: sitting.page.run("return window.pressed") > before)
    serve(results=results, port=server.port)
    sitting.play()
    assert len(sitting.stored()) == len(sitting.rows()) == 7
    assert not [row for row in sitting.stored() if row["outcome"] == "interrupted"]


def test_answers_that_can_never_be_stored_are_counted_at_the_end(sitting):
    sitting.agree()
    with closing(sqlite3.connect(sitting.results / DATABASE)) as db, db:
        last = [row["id"] for row in sitting.rows()][-2:]
        db.executemany("DELETE FROM trials WHERE id = ?", [(each,) for each in last])
    sitting.watch()
    sitting.play()
    sitting.page.says("could not be stored: 2 (no such trial of this participant). Please tell")
    assert "all your answers are stored" not in sitting.page.text()
    assert len(sitting.stored()) == len(sitting.rows()) == 5
    sitting.page.open(sitting.server.address)
    sitting.page.says("could not be stored: 2")
    sitting.page.click("#next")
    sitting.page.browser.wait("#agree")
    assert "refused" not in sitting.page.run("return Object.keys(localStorage).join()")


def test_a_server_of_another_name_costs_nothing(sitting):
    sitting.agree()
    sitting.watch()
    sitting.page.run(REFUSING)

    def refused() -> bool:
        sitting.go_on_from_a_page()
        return "This does not work: this server is not called so" in sitting.page.text()

    sitting.page.until(refused)
    sitting.page.click("button.main")
    sitting.page.says("What you will do")
    sitting.watch()
    sitting.play()
    sitting.page.says("all your answers are stored")
    assert len(sitting.stored()) == len(sitting.rows()) == 7


def test_a_second_tab_takes_over(sitting):
    sitting.agree()
    driver = sitting.page.driver
    first = driver.current_window_handle
    driver.switch_to.new_window("tab")
    sitting.page.open(sitting.server.address)
    sitting.page.says("What you will do")
    driver.switch_to.window(first)
    sitting.page.says("goes on in another tab")
    driver.switch_to.window(next(each for each in driver.window_handles if each != first))
    driver.close()
    driver.switch_to.window(first)
    sitting.page.click("button.main")
    sitting.page.says("What you will do")
    assert len(sitting.people()) == 1


def test_ones_data_can_be_deleted(sitting):
    sitting.agree()
    sitting.page.click("#delete")
    sitting.page.click("#sure button[value=no]")
    sitting.page.driver.find_element(By.ID, "foot").click()  # the keyboard still goes on
    sitting.go_on()
    sitting.page.says("Practice")
    assert len(sitting.people()) == 1
    sitting.page.click("#delete")
    sitting.page.click("#sure button[value=yes]")
    sitting.page.says("Your data are deleted")
    assert sitting.people() == [] and sitting.rows() == []
    assert sitting.page.run("return localStorage.length") <= 1  # which window it is


def test_a_join_code_is_asked_for(opened, serve):
    sitting = Sitting(opened, *serve("--join-code", "lab7"))
    sitting.page.click("#agree")
    sitting.page.says("wrong code")
    sitting.page.run("document.querySelector('#code').value = 'lab7'")
    sitting.agree()
    assert len(sitting.people()) == 1


def test_many_wrong_codes_are_told_of_and_the_one_that_is_put_in_then_is_sent(opened, serve):
    sitting = Sitting(opened, *serve("--join-code", "lab7"))
    sitting.page.run(MANY_WRONG_CODES)
    sitting.page.click("#agree")
    sitting.page.says("too many wrong codes came")
    sitting.page.run("document.querySelector('#code').value = 'lab7'")
    sitting.page.until(sitting.people)


def test_who_is_too_slow_is_told_and_leaves_the_full_screen_seen(opened, serve):
    settings = SETTINGS.replace("fullscreen: false", "fullscreen: true")
    settings = settings.replace("answer_ms: 3000", "answer_ms: 50").replace("60\n", "1500\n")
    sitting = Sitting(opened, *serve(settings=settings))
    sitting.agree()
    sitting.go_on()
    sitting.page.click("#jspsych-fullscreen-btn")
    sitting.page.says("Practice")
    sitting.go_on()
    sitting.page.says("Too slow")
    sitting.page.says("Block 1")
    sitting.go_on()
    sitting.page.says("Too slow")
    sitting.page.run("document.exitFullscreen()")
    sitting.page.until(lambda: len(sitting.stored()) == 2)
    rows = sitting.stored()
    assert [row["outcome"] for row in rows] == ["too_slow"] * 2
    assert [(row["fullscreen"], row["left_fullscreen"]) for row in rows] == [(1, 0), (1, 1)]
    assert {(row["key"], row["response"], row["rt_ms"]) for row in rows} == {(None, None, None)}
