"""A browser for tests, driven by selenium where Debian's chromium and its driver are there."""

import json
import shutil
import time
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "there is no chromium or no chromedriver; apt-get install chromium chromium-driver"
PATIENCE_S = 20.0


class Browser:
    """One browser; what its pages said on the console and asked for over the network is kept."""

    def __init__(self, *, width: int = 1280, height: int = 900) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
            options.add_argument(word)
        options.add_argument(f"--window-size={width},{height}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # an explicit service, or selenium looks for one online
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))

    def close(self) -> None:
        self.driver.quit()

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def console(self) -> list[str]:
        """What the console said since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that pages asked for since this was asked last."""
        messages = [json.loads(each["message"]) for each in self.driver.get_log("performance")]
        return [
            each["message"]["params"]["request"]["url"]
            for each in messages
            if each["message"]["method"] == "Network.requestWillBeSent"
        ]

    def wait(self, selector: str, text: str = "") -> WebElement:
        """The element that is shown and holds `text`, once there is one."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for found in self.driver.find_elements(By.CSS_SELECTOR, selector):
                try:
                    if text in found.text and found.is_displayed():
                        return found
                except StaleElementReferenceException:  # the page went on meanwhile
                    break
            time.sleep(0.02)
        shown = self.run("return document.body.innerText")
        raise AssertionError(f"no {selector} with {text!r} within {PATIENCE_S:.0f} s in: {shown}")

    def press(self, text: str) -> None:
        """Press the button with that text."""
        self.wait("button", text).click()

    def key(self, key: str) -> None:
        self.driver.switch_to.active_element.send_keys(key)

    def tab_to(self, text: str) -> None:
        """Go on by the tabulator until the button with that text has the focus."""
        for _ in range(10):
            if self.driver.switch_to.active_element.text == text:
                return
            self.key(Keys.TAB)
        raise AssertionError(f"the tabulator leads to no button {text!r}")

    def box(self, selector: str = "canvas") -> list[float]:
        """Left, top, width and height of an element in the viewport."""
        script = (
            "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [r.left, r.top, r.width, r.height]"
        )
        return self.run(script, selector)

    def stroke(
        self, places: list[tuple[float, float]], *, kind: str = "mouse", step_ms: int = 20
    ) -> None:
        """Press at the first of `places`, shares of the canvas's box, go on to the others, lift."""
        left, top, width, height = self.box()
        actions = ActionBuilder(self.driver, mouse=PointerInput(kind, kind), duration=step_ms)
        for number, (x, y) in enumerate(places):
            actions.pointer_action.move_to_location(
                round(left + x * width), round(top + y * height)
            )
            if number == 0:
                actions.pointer_action.pointer_down()
                # a driver moves at once and then waits; a move so close to the press is thinned
                actions.pointer_action.pause(step_ms / 1000)
        actions.pointer_action.pointer_up()
        actions.perform()
