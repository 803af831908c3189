"""Time the pictures of `attnlabels experiment start` in a real browser, by the limit below.

    python benchmarks/stimulus_timing.py [TRIALS]

So many pictures (200) of 256 px are shown for 400 ms each, on a page of a server on this machine,
in Debian's chromium without a window. Counted are those that stayed for exactly the frames that
come nearest to 400 ms, by the stamps of frames that the page stored. Nobody answers, and the
fixation is short: it is not what is measured. Some four minutes. The load of the machine is told.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains

from attnlabels.pipeline.writing import write_rows
from attnlabels.psychophysics.trials import STIMULI, TABLE
from attnlabels.sessions.results import read_results
from attnlabels.sessions.timing import frames_of

SIDE, DURATION_MS, LEAST = 256, 400.0, 0.99
SETTINGS = "fixation_ms: [300, 500]\nmessage_ms: 50\nblock: 50\nfullscreen: false\n"
COMMAND = "from attnlabels.cli import main; main()"
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1000,800")


def main(trials: int) -> None:
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make(folder / "made", trials)
        (folder / "settings.yaml").write_text(SETTINGS)
        words = (folder / "made", "--results", folder / "results")
        words = ("experiment", "start", *words, "--settings", folder / "settings.yaml")
        command = [sys.executable, "-c", COMMAND, *map(str, words), "--port", "0", "--no-open"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                said = iter(server.stdout or ())
                address = next(found[0] for line in said if (found := re.search(r"http\S+", line)))
                show(address)
            finally:
                server.terminate()
        rows = read_results(folder / "results")
    shown = rows[["onset_ms", "offset_ms", "period_ms"]].astype(float)
    frames = ((shown["offset_ms"] - shown["onset_ms"]) / shown["period_ms"]).round()
    planned = [frames_of(DURATION_MS, period) for period in shown["period_ms"]]
    exact = float((frames == planned).mean())
    longest = (shown["offset_ms"] - shown["onset_ms"]).max()
    print(
        f"{len(rows)} trials at {1000 / shown['period_ms'].median():.1f} Hz, load {before:.1f} "
        f"before and {os.getloadavg()[0]:.1f} at the end of {os.cpu_count()} cores"
    )
    print(
        f"exact to the frame: {exact:.1%} (limit {LEAST:.0%}); longest {longest:.1f} ms; "
        f"marked late: {(rows['mark'] == 'late').sum()}"
    )
    if len(rows) != trials or exact < LEAST:
        raise SystemExit(1)


def make(folder: Path, count: int) -> None:
    """An experiment of one set: so many blurred pictures of two classes."""
    rng, rows = np.random.default_rng(0), []
    for i in range(count):
        noise = cv2.GaussianBlur(rng.uniform(size=(SIDE, SIDE, 3)), (0, 0), 3)
        path, label = f"{i}.png", "ab"[i % 2]
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / path), np.uint8(255 * noise))
        rows.append(dict(zip(STIMULI, (0, path, label, "map", 1.0, SIDE**2, 0, path))))
    write_rows(folder / TABLE, rows, columns=STIMULI)


def show(address: str) -> None:
    """Somebody who agrees, watches all pictures and never answers."""
    options = webdriver.ChromeOptions()
    options.binary_location, driver_path = map(shutil.which, ("chromium", "chromedriver"))
    for each in OPTIONS:
        options.add_argument(each)
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    try:
        driver.get(address)
        click(driver, "#agree")
        click(driver, "#jspsych-html-button-response-btngroup button")
        while "Thank you" not in driver.page_source:
            if driver.find_elements("css selector", ".go"):
                ActionChains(driver).send_keys(" ").perform()
            time.sleep(0.5)
    finally:
        driver.quit()


def click(driver: webdriver.Chrome, selector: str) -> None:
    while not (found := driver.find_elements("css selector", selector)):
        time.sleep(0.1)
    found[0].click()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
