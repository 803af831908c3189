"""The game in a real browser: rounds of each task, and what goes wrong in their middle."""

import itertools
import json
import math
import signal
import subprocess
import sys
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.keys import Keys

from attnlabels.serving.rates import Rates
from attnlabels.serving.running import served
from browsing import CHROMIUM, DRIVER, MISSING, Browser
from collected import make_images, opened, painted_partner, rounds_in, settle

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
WIDTH, HEIGHT = 240, 180  # of the images, pixels
AGREE, START, NEXT, SKIP, DELETE = "I agree", "Start", "Next", "Skip", "Delete my data"
SHORT = {
    "paint": {"seconds": 1.5},
    "peek": {"seconds": 30.0, "clicks": 3},
    "look": {"seconds": 0.8},
    "practice": 0,
    "repeat_share": 0.0,
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("data") / "images", size=(HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def one_browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def browser(one_browser):
    """The browser without cookies; at the end, nothing was wrong and nothing left the machine."""
    one_browser.expected = ()
    yield one_browser
    wrong = [each for each in one_browser.console() if not each.count("net::ERR_CONNECTION")]
    assert [each for each in wrong if not any(why in each for why in one_browser.expected)] == []
    hosts = {urlsplit(url).hostname for url in one_browser.requests() if url.startswith("http")}
    assert hosts <= {"127.0.0.1"}
    one_browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    one_browser.driver.get("about:blank")


@pytest.fixture
def study(images, tmp_path):
    """Serves a study in a thread; gives it and its address."""
    with ExitStack() as stack:

        def make(**settings):
            options = {name: settings.pop(name, None) for name in ("partner", "join_code")}
            settle(tmp_path / "study", **SHORT | settings)
            collection = stack.enter_context(opened(images, tmp_path / "study", **options))
            return collection, stack.enter_context(served(collection.application))

        yield make


def begin(browser, address):
    browser.driver.get(address)
    browser.press(AGREE)
    browser.press(START)
    browser.wait("canvas")


def samples_of(row, *events):
    return [each for each in json.loads(row["samples"]) if each[3] in events]


def near(sample, x, y, *, scale):
    """Whether a sample is at these shares of the image; a pointer has whole CSS pixels."""
    return (
        abs(sample[1] - x * WIDTH) <= 0.51 / scale and abs(sample[2] - y * HEIGHT) <= 0.51 / scale
    )


@pytest.mark.parametrize("kind", ["mouse", "touch", "pen"])
def test_a_round_of_painting_until_the_partner_names_it(browser, study, kind):
    collection, address = study(partner=painted_partner, paint={"seconds": 20.0})
    begin(browser, address)
    assert "Press in the image" in browser.wait(".line").text
    places = [(0.1 + 0.05 * i, 0.3 + 0.4 * (i % 2)) for i in range(16)]
    browser.stroke(places, kind=kind, step_ms=120)
    assert "Your partner recognised it!" in browser.wait("#outcome").text
    (row,) = rounds_in(collection)
    assert row["outcome"] == "recognised" and row["pointer"] == kind and row["checks"] == "{}"
    assert 0 < row["score"] < 100 and row["frames"] > 10 and row["hidden"] == 0
    bubbles, (down,) = samples_of(row, "bubble"), samples_of(row, "down")
    assert near(down, *places[0], scale=row["scale"]) and bubbles[0][:3] == down[:3]
    for (t, x, y, _), (then, a, b, _) in itertools.pairwise(bubbles):
        assert math.hypot(a - x, b - y) <= 7.02 and then - t >= 49.9
    guesses = json.loads(row["guesses"])
    assert [each["n"] % 10 for each in guesses] == [0] * len(guesses)
    label = collection.study.images[row["image"]].label
    assert guesses[-1]["top"][0][0] == label


@pytest.mark.parametrize("zoom", [0.5, 1.0, 1.5])
def test_places_are_exact_however_the_page_is_scaled(browser, study, zoom):
    collection, address = study()
    begin(browser, address)
    browser.run("document.querySelector('.frame').style.transform = `scale(${arguments[0]})`", zoom)
    places = [(0.25, 0.5), (0.3, 0.52), (0.9, 0.1)]
    browser.stroke(places)
    browser.wait("#outcome", "Time is over")
    (row,) = rounds_in(collection)
    assert row["scale"] == pytest.approx(zoom * 384 / WIDTH, rel=1e-4)
    assert row["shown_width"] == pytest.approx(zoom * 384, abs=0.01)
    (down,), moves = samples_of(row, "down"), samples_of(row, "move")
    assert near(down, *places[0], scale=row["scale"])
    assert near(moves[-1], *places[-1], scale=row["scale"])
    assert row["duration_ms"] == 1500 and row["outcome"] == "timeout" and row["score"] is None


@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_a_round_of_peeking(browser, study, kind):
    collection, address = study(task="peek")
    begin(browser, address)
    places = [(0.2, 0.3), (0.7, 0.6), (0.5, 0.9)]
    for left, place in zip((2, 1), places):
        browser.stroke([place], kind=kind)
        browser.wait(".line", f"{left} clicks left")
    browser.stroke(places[2:], kind=kind)
    browser.wait("#outcome", "Done.")  # after the last click, by itself
    (row,) = rounds_in(collection)
    clicks = samples_of(row, "click")
    assert [near(click, *place, scale=row["scale"]) for click, place in zip(clicks, places)] == [
        True
    ] * 3
    assert row["pointer"] == kind and row["outcome"] == "done" and row["score"] is None


def test_a_disc_is_sharp_and_the_rest_is_not(browser, study):
    collection, address = study(task="peek", peek={"clicks": 3, "radius_px": 20.0, "blur_px": 12.0})
    begin(browser, address)
    browser.stroke([(0.5, 0.5)])
    browser.wait(".line", "2 clicks left")
    script = """
        const canvas = document.querySelector("canvas");
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        const spread = (x, y) => {
          const [left, top] = [Math.round(x * width) - 8, Math.round(y * height) - 8];
          const square = Array.from({ length: 256 }, (_, i) => [left + (i % 16), top + (i >> 4)]);
          const values = square.map(([a, b]) => data[4 * (b * width + a)]);
          return Math.max(...values) - Math.min(...values);
        };
        return [spread(0.5, 0.5), spread(0.2, 0.5), spread(0.5, 0.85)];
    """
    sharp, *blurred = browser.run(script)
    assert sharp > 40 and max(blurred) < 15
    browser.press(NEXT)
    browser.wait("#outcome", "Done.")
    assert rounds_in(collection)[0]["outcome"] == "done"


@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_a_round_of_looking(browser, study, kind):
    collection, address = study(task="look", look={"seconds": 2.5})
    begin(browser, address)
    # far enough apart that no two come within a frame of a busy machine
    browser.stroke([(0.2, 0.2), (0.4, 0.5), (0.8, 0.7)], kind=kind, step_ms=300)
    browser.wait("#outcome", "Done.")
    (row,) = rounds_in(collection)
    moves = samples_of(row, "move")
    assert row["outcome"] == "done" and row["pointer"] == kind and len(moves) >= 3
    assert near(moves[0], 0.2, 0.2, scale=row["scale"])
    assert near(moves[-1], 0.8, 0.7, scale=row["scale"])
    assert 2500 <= row["duration_ms"] < 3200 and row["late"] <= row["frames"]
    assert browser.driver.find_elements("css selector", "button[hidden]") == []


def test_who_does_not_agree_leaves_nothing(browser, study):
    collection, address = study()
    browser.driver.get(address)
    assert "no ethics approval" in browser.wait("blockquote").text
    browser.press("I do not agree")
    browser.wait("main", "nothing was kept")
    with collection.database.transaction() as db:
        assert db.execute("SELECT count(*) FROM participants").fetchone()[0] == 0
    assert browser.driver.get_cookies() == []


def test_a_reload_and_a_second_window_in_the_middle(browser, study):
    collection, address = study()
    begin(browser, address)
    browser.stroke([(0.5, 0.5), (0.6, 0.5)])
    browser.driver.get(address)
    browser.press(START)  # nobody is asked to agree again
    browser.wait("canvas")
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    browser.driver.get(address)
    browser.press(START)
    browser.wait("canvas")
    second = browser.driver.current_window_handle
    browser.driver.switch_to.window(first)
    browser.wait("main", "goes on in another window")
    browser.driver.switch_to.window(second)
    browser.stroke([(0.4, 0.5), (0.6, 0.5)])
    browser.wait("#outcome")
    browser.driver.switch_to.window(first)
    browser.press("Go on here")
    browser.press(START)
    browser.wait("canvas")
    browser.driver.switch_to.window(second)
    browser.wait("main", "goes on in another window")
    browser.driver.close()
    browser.driver.switch_to.window(first)
    one, other = rounds_in(collection)
    assert json.loads(one["checks"]) == {"handed_again": 2} and one["finished"]
    assert other["finished"] is None and other["image"] != one["image"]


def start(images, folder, port):
    words = ("collect", "start", str(images), "--study", str(folder), "--no-open", "--port", port)
    process = subprocess.Popen(
        [sys.executable, "-c", "from attnlabels.cli import main; main()", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    said = [process.stdout.readline() for _ in range(3)]
    process.stdout.close()
    return process, said[1].strip()


def test_a_server_that_is_killed_in_the_middle_costs_nothing(browser, images, tmp_path):
    settle(tmp_path / "study", **SHORT)
    process, address = start(images, tmp_path / "study", "0")
    try:
        begin(browser, address)
        browser.stroke([(0.5, 0.5), (0.6, 0.5)])
        process.send_signal(signal.SIGKILL)
        process.wait()
        browser.wait("#notice", "does not answer")
        kept = browser.run("return Object.entries(localStorage)")
        assert any(":round" in key and '"outcome":"timeout"' in value for key, value in kept)
        process, _ = start(images, tmp_path / "study", str(urlsplit(address).port))
        browser.wait("#outcome", "Time is over")
        assert browser.run("return document.querySelector('#notice').textContent") == ""
        kept = browser.run("return Object.keys(localStorage)")
        assert not any(key.endswith(":round") for key in kept)
        browser.press(NEXT)
        browser.wait("canvas")
    finally:
        process.kill()
        process.wait()
    with opened(images, tmp_path / "study") as collection:
        one, other = rounds_in(collection)
    assert one["outcome"] == "timeout" and one["finished"] and other["finished"] is None


def test_a_full_disk_is_said_and_the_round_is_sent_again(browser, study):
    collection, address = study()
    browser.expected = ("507",)
    begin(browser, address)
    db = collection.database.connection
    browser.stroke([(0.4, 0.5), (0.6, 0.5)])
    db.execute("PRAGMA query_only = ON")  # as a disk that takes nothing
    browser.wait("#notice", "cannot store anything")
    db.execute("PRAGMA query_only = OFF")
    browser.wait("#outcome", "Time is over")
    assert rounds_in(collection)[0]["finished"]


def test_a_round_that_can_never_be_stored_is_told_of(browser, study):
    collection, address = study(rounds=3)
    browser.expected = ("404", "400", "not stored: ")
    begin(browser, address)
    browser.stroke([(0.4, 0.5), (0.6, 0.5)])
    collection.database.connection.execute("DELETE FROM rounds")
    said = browser.wait("#outcome", "could not be stored: ").text
    assert "Time is over" not in said
    browser.press(NEXT)
    browser.wait("canvas")
    browser.driver.get(address)
    browser.run("""
        return import("./static/server.js").then(({ Outbox }) => {
          for (const round of ["gone", "lost"]) new Outbox("round").add({ round, outcome: "done" });
        });
    """)
    browser.driver.get(address)
    told = browser.wait("main", "could not be stored: ").text
    assert told.count("could not be stored") == 1  # both for one reason
    browser.press(NEXT)
    browser.wait("button", START)
    browser.driver.get(address)
    browser.wait("button", START)


def test_by_the_keyboard_alone(browser, study):
    collection, address = study(rounds=2)
    browser.driver.get(address)
    browser.wait("button", AGREE)
    browser.tab_to("I agree and take part")
    outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"  # one sees where one is
    browser.key(Keys.ENTER)
    browser.wait("button", START)
    browser.key(Keys.ENTER)
    for left in (2, 1):
        browser.wait("body", f"{left} to go")  # until then the canvas is that of the round before
        browser.wait("canvas")
        browser.driver.find_element("css selector", "body").send_keys(Keys.ESCAPE)
        browser.wait("#outcome", "Skipped.")
        browser.key(Keys.ENTER)
    browser.wait("main", "That was all")
    assert [row["outcome"] for row in rounds_in(collection)] == ["skipped"] * 2
    browser.tab_to(DELETE)
    browser.key(Keys.ENTER)
    browser.wait("button", "Delete everything")
    browser.tab_to("Delete everything")
    browser.key(Keys.ENTER)
    browser.wait("main", "is deleted")
    assert rounds_in(collection) == []


def test_what_a_screen_reader_is_told(browser, study):
    collection, address = study(partner=painted_partner)
    begin(browser, address)
    label = collection.study.images[rounds_in(collection)[0]["image"]].label
    canvas = browser.wait("canvas")
    assert canvas.get_attribute("role") == "img" and label in canvas.get_attribute("aria-label")
    live = browser.wait("main").find_element("xpath", "//*[@id='live']")
    assert live.get_attribute("aria-live") == "polite"
    assert live.get_attribute("textContent") == f"Paint the {label}"
    browser.stroke([(0.5, 0.5), (0.5, 0.52)])
    browser.wait("#outcome")
    assert live.get_attribute("textContent").startswith("Time is over")
    assert browser.run("return document.documentElement.lang") == "en"


def test_the_image_keeps_its_shape_on_a_small_screen(browser, study):
    _, address = study()
    browser.driver.set_window_size(500, 600)  # the least that a window has
    begin(browser, address)
    left, top, width, height = browser.box()
    assert width / height == pytest.approx(WIDTH / HEIGHT, rel=1e-3)
    inner = browser.run("return [innerWidth, innerHeight]")
    assert left >= 0 and left + width <= inner[0] and top >= 0 and top + height <= inner[1]
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    browser.driver.set_window_size(1280, 900)


def test_reduced_motion_has_no_transitions(browser, study):
    _, address = study()
    browser.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]},
    )
    browser.driver.get(address)
    browser.wait("button", AGREE)
    script = "return getComputedStyle(document.querySelector('button')).transitionDuration"
    assert browser.run(script) == "0s"
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_many_wrong_codes_are_told_of_and_the_one_that_is_put_in_then_is_sent(browser, study):
    collection, address = study(join_code="lab7")
    collection.game.join.compared = Rates(per_s=0.5, burst=1.0)
    browser.expected = ("403", "429")
    browser.driver.get(address)
    browser.press(AGREE)
    browser.wait(".error", "wrong code")
    browser.press(AGREE)
    browser.wait(".error", "too many wrong codes came from your network")
    browser.wait("#code").send_keys("lab7")
    browser.wait("button", START)
