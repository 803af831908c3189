"""A real browser for tests of pages: Debian's chromium, driven by selenium, without a window."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

Found = TypeVar("Found")
PATIENCE_S = 20.0
NEEDED = {"chromium": "chromium", "chromedriver": "chromium-driver"}  # program: Debian's package
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage")
OWN_HOSTS = ("127.0.0.1", "localhost")


class Browser:
    """A browser, and what a person does with it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        self.driver.get(address)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns, the body of a function."""
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def click(self, selector: str) -> None:
        self.until(lambda: self.find(selector)).click()

    def find(self, selector: str) -> Any:
        """The first element, None if there is none."""
        return next(iter(self.driver.find_elements("css selector", selector)), None)

    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    def until(self, found: Callable[[], Found]) -> Found:
        """What is found, as soon as it is something; fails after a time, with the page's text."""
        end = time.monotonic() + PATIENCE_S
        while not (what := found()):
            assert time.monotonic() < end, self.text()
            time.sleep(0.01)
        return what

    def says(self, text: str) -> None:
        """Wait until the page says so."""
        self.until(lambda: text in self.text())

    def complaints(self) -> list[str]:
        """What the console had to say since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def strangers(self) -> set[str]:
        """Hosts other than this machine that pages asked since it was asked last."""
        hosts = set()
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                parts = urlsplit(event["params"]["request"]["url"])
                if parts.scheme in ("http", "https", "ws", "wss"):
                    hosts.add(parts.hostname or "")
        return hosts - {*OWN_HOSTS}


def require_browser() -> dict[str, str]:
    """The programs' paths; the test is skipped, with the reason, where one is missing."""
    pytest.importorskip("selenium", reason="selenium is not installed: attnlabels[test]")
    paths = {}
    for name, package in NEEDED.items():
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed: apt install {package}")
        paths[name] = path
    return paths


@contextmanager
def browser(*more: str, size: tuple[int, int] = (1000, 800)) -> Iterator[Browser]:
    """A browser with further options; the test is skipped where there is none."""
    programs = require_browser()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    for each in (*OPTIONS, f"--window-size={size[0]},{size[1]}", *more):
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(programs["chromedriver"]))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
