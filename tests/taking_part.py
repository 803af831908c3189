"""Small experiments in rapid categorisation for tests, and people who take part in them."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from starlette.testclient import TestClient

from attnlabels.pipeline.writing import write_rows
from attnlabels.psychophysics.design import cells_of_set, n_sets
from attnlabels.psychophysics.trials import PRACTICE, PRACTICE_TABLE, STIMULI, TABLE
from attnlabels.serving.safety import TOKEN_HEADER
from attnlabels.serving.site import UNBOUNDED
from attnlabels.sessions.start import Running

HOST = "http://127.0.0.1:8643"
CLASSES = ("animal", "object")
TYPES = ("players", "bottom_up")
SHARES = (0.0, 0.1, 1.0)
PERIOD = 1000 / 60
COMMAND = "from attnlabels.cli import main\nmain()\n"
SIDE = 24


def write_experiment(
    folder: Path,
    *,
    classes: Sequence[str] = CLASSES,
    per_class: int = 3,
    practice: int = 1,
    shares: Sequence[float] = SHARES,
) -> Path:
    """What `experiment make` writes; a picture's colour tells its class where anything is shown."""
    names = [(f"{label}/{i}.png", label) for label in classes for i in range(per_class)]
    square = {"n_types": len(TYPES), "n_levels": len(shares)}
    rows = []
    for number in range(n_sets(**square)):
        cells = cells_of_set(number, len(names), **square, assignment="between")
        for (image, label), cell in zip(names, cells):
            kind, share = TYPES[cell.map_type], shares[cell.level]
            pixels = round(share * SIDE**2)
            path = f"{kind}/{share}/{image}"
            rows.append((number, image, label, kind, share, pixels, 0, path))
            paint(folder / path, classes.index(label) if share else None)
    for label in classes if practice else ():
        for i in range(practice):
            paint(folder / f"practice/{label}/p{i}.png", classes.index(label))
    write_rows(folder / TABLE, (dict(zip(STIMULI, row)) for row in rows), columns=STIMULI)
    if practice:
        aside = [
            dict(zip(PRACTICE, (f"{label}/p{i}.png", label, f"practice/{label}/p{i}.png")))
            for label in classes
            for i in range(practice)
        ]
        write_rows(folder / PRACTICE_TABLE, aside, columns=PRACTICE)
    return folder


def paint(path: Path, number: int | None) -> None:
    """A picture whose colour is the number's, grey for none."""
    picture = np.full((SIDE, SIDE, 3), 110, np.uint8)
    if number is not None:
        picture[4:-4, 4:-4, number % 3] = 220
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


class Participant:
    """Somebody who takes part: the protocol, as the page speaks it."""

    def __init__(self, http: Any) -> None:
        """Of a client of httpx, or starlette's, whose addresses begin at the page."""
        self.http = http
        page = self.http.get("/").text
        token = re.search(r'name="token" content="(\w+)"', page)
        self.http.headers[TOKEN_HEADER] = token[1] if token else ""

    def get(self, name: str, status: int = 200) -> Any:
        """The answer to GET, which has to have this status."""
        answer = self.http.get(f"/{name}")
        assert answer.status_code == status, answer.text
        return answer

    def post(self, name: str, status: int = 200, **body: Any) -> dict[str, Any]:
        """The answer to what is posted, which has to have this status."""
        answer = self.http.post(f"/api/{name}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def agree(self, status: int = 200, **other: Any) -> dict[str, Any]:
        version = self.get("start.json").json()["consent"]["version"]
        return self.post("consent", status, **{"consent": version, "language": "en"} | other)

    def session(self) -> dict[str, Any]:
        """Keys, trials that are left, and the rest."""
        return self.get("start.json").json()["session"]

    def answer(self, trial: dict[str, Any], key: str | None, status: int = 200) -> dict[str, Any]:
        return self.post("trial", status, **shown(trial, key))

    def take_part(self, *, knows: bool = True) -> dict[str, Any]:
        """All trials that are left, with the right key for each, or the first one for all."""
        session = self.session()
        for trial in session["trials"]:
            right = session["keys"][trial["class"]]
            self.answer(trial, right if knows else min(session["keys"].values()))
        return session


def shown(trial: dict[str, Any], key: str | None, *, late: int = 0) -> dict[str, Any]:
    """A trial as a page tells of it, so many frames too long."""
    started = 5000.0 + 3000 * trial["position"]
    onset = started + np.ceil(trial["fixation_ms"] / PERIOD - 0.5) * PERIOD
    return {
        "id": trial["id"],
        "outcome": "too_slow" if key is None else "answered",
        "key": key,
        "rt_ms": None if key is None else 431.5,
        "started_ms": started,
        "onset_ms": onset,
        "offset_ms": onset + (24 + late) * PERIOD,
        "period_ms": PERIOD,
        "frames": 24 + late,
        "slow_frames": late,
        "hidden": 0,
        "left_fullscreen": 0,
        "fullscreen": True,
        "ratio": 1.0,
        "width": 24.0,
        "height": 24.0,
        "trial_index": trial["position"] + 5,
        "time_elapsed": 6000.0,
    }


@contextmanager
def running(experiment: Path, results: Path, **options: Any) -> Iterator[Running]:
    """An experiment that is open."""
    with closing(Running(experiment, results, limits=UNBOUNDED, **options)) as opened:
        yield opened


def somebody(opened: Running, **headers: str) -> Participant:
    return Participant(TestClient(opened.application, base_url=HOST, headers=headers))


class Server:
    """`attnlabels experiment start` as a process; to be killed, and started anew, at any time."""

    def __init__(self, experiment: Path, results: Path, *words: str, port: int = 0) -> None:
        words = (str(experiment), "--results", str(results), "--port", str(port), *words)
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "experiment", "start", *words, "--no-open"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self.said = ""
        for line in self.process.stdout or ():
            self.said += line
            if found := re.search(r"http://\S+:(\d+)/", line):
                self.address, self.port = found[0], int(found[1])
                return
        self.process.communicate()
        raise AssertionError(self.said)

    def kill(self) -> None:
        """End it at once; more than once does nothing more."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate()

    def stop(self) -> int:
        """The status with which it ends when it is asked to."""
        self.process.terminate()
        self.process.communicate(timeout=20)
        return self.process.returncode
