"""Time the game as people meet it, against the limits below, and count what kills cost.

    python benchmarks/collect.py [start] [load] [kills] [frames]

Without words, all of them; `frames` needs Debian's chromium and its driver. A server of its own
each, by the command, on images of noise; who plays is a process beside it on the same cores. The
partner is an untrained residual network of the embedded study's size (0.18 M parameters, 48 px):
its answers are worth nothing, and take as long as a trained one's. Some six minutes on two cores.
"""

import asyncio
import math
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import torch
from ratios import Bound, bounds_table, machine, spread

from attnlabels.collecting.folder import make_folder
from attnlabels.collecting.start import PAGES, SHARED, static_files
from attnlabels.models.classifier import build_classifier
from attnlabels.models.files import write_weights
from attnlabels.serving.safety import TOKEN_HEADER

CLASSES = ("n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7")
COMMAND = (sys.executable, "-c", "from attnlabels.cli import main; main()", "collect", "start")
PLAYERS, SECONDS, ROUND_S = 50, 40.0, 7.0  # who play at once, for so long, rounds of 7 s
ROUNDS, KILL_EVERY, PEOPLE = 10_000, 500, 16
SHAPE = {"backbone": "resnet18", "width": 16, "stem": "small", "taps": "stages"}
HEAD = {"source": "readout", "select": "local_mean_max", "output": "softplus", "size": 6}
LATE_MS = 20.0


def main() -> None:
    parts = {"start": start, "load": load, "kills": kills, "frames": frames}
    bounds: list[Bound] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or [*parts]:
            here = Path(folder, name)
            here.mkdir()
            for bound in parts[name](here):
                bounds.append(bound)
                told = spread(bound.measured, digits=1)
                print(f"{bound.name}: {told}{bound.unit}", file=sys.stderr, flush=True)
    print(machine(), bounds_table(bounds), sep="\n\n")
    if not all(each.kept for each in bounds):
        raise SystemExit(1)


def start(folder: Path) -> Iterator[Bound]:
    """From the command to the first page, in a new study and in one that goes on; its weight."""
    images = make_images(folder / "images", each=25, size=(256, 256))
    for name in ("a new study", "going on"):
        times = []
        for n in range(3):
            study = folder / (f"study{n}" if name == "a new study" else "study0")
            begun = time.perf_counter()
            with serving(images, study) as (_, address):
                httpx.get(address).raise_for_status()
                times.append(time.perf_counter() - begun)
        yield Bound(f"{name}, 200 images: to the first page", times, 3, False, " s")
    files = {**static_files(PAGES, SHARED)}
    weight = sum(path.stat().st_size for path in files.values()) / 1000
    yield Bound(f"{len(files)} files of a page together", [weight], 300, False, " kB")


def load(folder: Path) -> Iterator[Bound]:
    """So many people who paint at once, at their pace: how long a guess and a round take."""
    images = make_images(folder / "images", each=25, size=(256, 256))
    write_partner(folder / "partner.safetensors")
    study = settled(folder / "study", rounds=150, repeat_share=0.0)
    with serving(images, study, "--partner", folder / "partner.safetensors") as (_, address):
        taken = asyncio.run(play_at_once(address))
    for name, most in (("round", 200), ("guess", 300), ("next", 200)):
        times = [1e3 * each for each in taken[name]]
        last = [float(np.quantile(times, 0.99))]
        what = f"{PLAYERS} people: 99th percentile of {len(times)} x {name}"
        yield Bound(what, last, most, False, " ms")


async def play_at_once(address: str) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {"round": [], "guess": [], "next": []}
    end = time.monotonic() + SECONDS
    await asyncio.gather(*(play(address, n, end, taken) for n in range(PLAYERS)))
    return taken


async def play(address: str, n: int, end: float, taken: dict[str, list[float]]) -> None:
    """One person: rounds of painting with a guess each half second, one after another."""
    http = httpx.AsyncClient(base_url=address, timeout=30)

    async def post(name: str, **body: Any) -> dict[str, Any]:
        begun = time.perf_counter()
        answer = await http.post(f"/api/{name}", json=body)
        if name in taken:
            taken[name].append(time.perf_counter() - begun)
        answer.raise_for_status()
        return answer.json()

    async with http:
        await asyncio.sleep(n * ROUND_S / PLAYERS)
        http.headers[TOKEN_HEADER] = token_in((await http.get("/")).text)
        version = (await http.get("/start.json")).json()["consent"]["version"]
        await post("consent", consent=version, language="en", code=None)
        while time.monotonic() < end:
            given = await post("next")
            (await http.get(f"/images/{given['image']}")).raise_for_status()
            bubbles = stroke(given)
            begun = time.monotonic()
            for count in range(10, 141, 10):
                await asyncio.sleep(max(0.0, begun + count * 0.05 - time.monotonic()))
                await post("guess", round=given["round"], bubbles=bubbles[:count])
            await post("round", **played(given, bubbles))


def kills(folder: Path) -> Iterator[Bound]:
    """Rounds, with a kill each so many: what is lost, and what is there twice."""
    images = make_images(folder / "images", each=ROUNDS // len(CLASSES) + 10, size=(16, 16))
    study = settled(folder / "study", rounds=ROUNDS, practice=0, repeat_share=0.0)
    answered: set[str] = set()
    keys: list[dict[str, str]] = [{} for _ in range(PEOPLE)]
    unanswered: tuple[int, dict[str, Any]] | None = None
    while len(answered) < ROUNDS:
        with serving(images, study) as (process, address), ExitStack() as stack:
            people = [stack.enter_context(joined(address, each)) for each in keys]
            keys = [dict(http.cookies) for http in people]
            if unanswered:  # a browser sends it again
                who, body = unanswered
                answered.add(stored(people[who], body))
            for n in range(min(KILL_EVERY, ROUNDS - len(answered))):
                who = n % PEOPLE
                given = asked(people[who], "next", {})
                unanswered = who, played(given, stroke(given))
                if n == KILL_EVERY - 1:
                    os.kill(process.pid, signal.SIGKILL)
                with suppress(httpx.TransportError):
                    answered.add(stored(people[who], unanswered[1]))
    with closing(sqlite3.connect(study / "study.sqlite")) as db:
        kept = [id for (id,) in db.execute("SELECT id FROM rounds WHERE finished IS NOT NULL")]
        whole = db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    if not whole:
        raise SystemExit("the database is damaged")
    n_kills = ROUNDS // KILL_EVERY
    about = f"{len(answered):,} rounds, {n_kills} kills"
    yield Bound(f"{about}: lost", [float(len(answered - {*kept}))], 0, False, "")
    yield Bound(f"{about}: twice", [float(len(kept) - len({*kept}))], 0, False, "")


def frames(folder: Path) -> Iterator[Bound]:
    """Painting and looking on an image of 1,000 x 750 px: frames of more than 20 ms."""
    for task in ("paint", "peek", "look"):
        images = make_images(folder / task / "images", each=1, size=(750, 1000))
        study = settled(folder / task / "study", task=task, practice=0)
        with serving(images, study) as (_, address):
            late = frames_of(address)
        yield Bound(f"{task}, 1,000 x 750 px: frames > 20 ms", [late], 1, False, " %")


def frames_of(address: str) -> float:
    """The share of late frames, in percent, while a pointer goes over the image for 6 s."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        raise SystemExit("frames needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1400,1000"):
        options.add_argument(f"--{word}")
    with webdriver.Chrome(options=options, service=Service(driver)) as browser:
        browser.get(address)
        for _ in ("agree", "start"):
            WebDriverWait(browser, 20).until(
                lambda page: page.find_elements(By.CSS_SELECTOR, "button.main")
            )[0].click()
            time.sleep(1)
        box = browser.execute_script(
            "const r = document.querySelector('canvas').getBoundingClientRect();"
            "return [r.left, r.top, r.width, r.height]"
        )
        browser.execute_script(
            "window.stamps = []; const f = (t) => { window.stamps.push(t);"
            "requestAnimationFrame(f); }; requestAnimationFrame(f);"
        )
        actions = ActionBuilder(browser, mouse=PointerInput("mouse", "mouse"), duration=16)
        for n in range(200):
            x = box[0] + box[2] * (0.5 + 0.4 * math.sin(n / 9))
            y = box[1] + box[3] * (0.5 + 0.4 * math.cos(n / 13))
            actions.pointer_action.move_to_location(round(x), round(y))
            if n == 0:
                actions.pointer_action.pointer_down()
        actions.perform()
        stamps = browser.execute_script("return window.stamps")
    times = np.diff(stamps)
    return 100 * float((times > LATE_MS).mean())


def make_images(folder: Path, *, each: int, size: tuple[int, int]) -> Path:
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for n in range(each):
            image = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), size[::-1])
            cv2.imwrite(str(folder / name / f"{n}.jpg"), image)
    return folder


def write_partner(path: Path) -> None:
    config = {
        "encoder": {**SHAPE, "zero_init": False, "block": "none"},
        "attention": HEAD,
        "image_size": 48,
        "eval_crop": 1.0,
        "classes": [*CLASSES],
    }
    torch.manual_seed(0)
    write_weights(path, build_classifier(config, n_classes=len(CLASSES)), config)


def settled(folder: Path, *, task: str = "paint", **settings: Any) -> Path:
    make_folder(folder, task=task)  # type: ignore[arg-type]
    path = folder / "study.yaml"
    text = path.read_text()
    for name, value in settings.items():
        text = re.sub(rf"^{name}: \S+", f"{name}: {value}", text, flags=re.M)
    path.write_text(text)
    return folder


@contextmanager
def serving(
    images: Path, study: Path, *words: str | Path
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [*COMMAND, images, "--study", study, "--no-open", "--port", "0", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        said = [process.stdout.readline() for _ in range(3)]
        if not said[1].startswith("http"):
            raise SystemExit("the server did not start")
        yield process, said[1].strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def token_in(page: str) -> str:
    found = re.search(r'name="token" content="(\w+)"', page)
    assert found
    return found[1]


@contextmanager
def joined(address: str, cookies: dict[str, str]) -> Iterator[httpx.Client]:
    """Somebody who takes part; without `cookies` they agree first."""
    with httpx.Client(base_url=address, cookies=cookies, timeout=30) as http:
        http.headers[TOKEN_HEADER] = token_in(http.get("/").text)
        if not cookies:
            version = http.get("/start.json").json()["consent"]["version"]
            asked(http, "consent", {"consent": version, "language": "en", "code": None})
        yield http


def asked(http: httpx.Client, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer; who asks faster than a person is told to wait, and does."""
    while (answer := http.post(f"/api/{name}", json=body)).status_code == 429:
        time.sleep(0.05)
    answer.raise_for_status()
    return answer.json()


def stored(http: httpx.Client, body: dict[str, Any]) -> str:
    if not asked(http, "round", body)["stored"]:
        raise SystemExit("a round was not stored")
    return str(body["round"])


def stroke(given: dict[str, Any]) -> list[list[float]]:
    """140 bubbles around the middle."""
    middle, radius = (given["width"] / 2, given["height"] / 2), min(given["width"], 60) / 4
    return [
        [50.0 * i, middle[0] + radius * math.cos(i / 9), middle[1] + radius * math.sin(i / 9)]
        for i in range(140)
    ]


def played(given: dict[str, Any], bubbles: list[list[float]]) -> dict[str, Any]:
    moves = [[16.0 * i, 1.0 + i % 9, 2.0, "move"] for i in range(430)]
    samples = sorted([[*each, "bubble"] for each in bubbles] + moves, key=lambda each: each[0])
    return {
        "round": given["round"],
        "outcome": "timeout",
        "duration_ms": 7000.0,
        "pointer": "mouse",
        "scale": 1.5,
        "ratio": 1.0,
        "shown_width": 384.0,
        "shown_height": 384.0,
        "frames": 420,
        "late": 0,
        "period_ms": 16.7,
        "hidden": 0,
        "samples": samples,
    }


if __name__ == "__main__":
    main()
