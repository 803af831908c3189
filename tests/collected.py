"""Small studies of the game for tests: images, a partner, and who plays through the protocol."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from ruamel.yaml import YAML
from starlette.testclient import TestClient

from attnlabels.collecting.folder import make_folder
from attnlabels.collecting.guessing import Partner
from attnlabels.collecting.start import Collection
from attnlabels.images.squares import resize_square
from attnlabels.serving.safety import TOKEN_HEADER
from attnlabels.serving.site import UNBOUNDED

HOST = "http://127.0.0.1:8642"
CLASSES = ("cat", "dog", "eel")
ENOUGH = 0.1  # of the image painted: the partner of the tests then names what is there


def make_images(folder: Path, *, each: int = 4, size: tuple[int, int] = (60, 80)) -> Path:
    """So many images of each class, of (height, width), in folders; a colour tells the class."""
    rng = np.random.default_rng(0)
    for k, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            image = rng.integers(0, 100, (*size, 3), dtype=np.uint8)
            image[..., k] += 150
            cv2.imwrite(str(folder / name / f"{i}.png"), image[..., ::-1])
    return folder


def painted_partner(classes: Sequence[str]) -> Partner:
    """Names what is there by its colour once enough is painted, and the first class before."""

    def see(images: UInt8[np.ndarray, "n s s 3"]) -> Float[np.ndarray, "n k"]:
        chances = np.full((len(images), len(classes)), 0.1, np.float32)
        for row, image in zip(chances, images):
            seen = (image != 128).any(axis=-1)
            sure = seen.mean() > ENOUGH
            row[int(image[seen].mean(axis=0).argmax()) if sure else 0] = 0.8 if sure else 0.4
        return chances

    identity = {"network": "by colour", "classes": [*classes]}
    square = partial(resize_square, size=32, interpolation="bilinear")
    return Partner(classes=classes, square=square, see=see, identity=identity)


def settle(folder: Path, **settings: Any) -> None:
    """Make a study's folder with these settings; those of a task as `paint={"seconds": 1.0}`."""
    if not folder.exists():
        make_folder(folder, task=settings.pop("task", None))
    yaml, path = YAML(), folder / "study.yaml"
    tree = yaml.load(path)
    for name, value in settings.items():
        if isinstance(value, dict):
            tree[name].update(value)
        else:
            tree[name] = value
    yaml.dump(tree, path)


class Player:
    """Somebody who plays: the protocol, as the pages speak it."""

    def __init__(self, collection: Collection, **headers: str) -> None:
        self.http = TestClient(collection.application, base_url=HOST, headers=headers)
        page = self.http.get("/").text
        self.http.headers[TOKEN_HEADER] = re.search(r'name="token" content="(\w+)"', page)[1]

    def post(self, name: str, status: int = 200, **body: Any) -> dict[str, Any]:
        """The answer to what is posted, which has to have this status."""
        answer = self.http.post(f"/api/{name}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def agree(self, **other: Any) -> str:
        version = self.http.get("/start.json").json()["consent"]["version"]
        body = {"consent": version, "language": "en", "code": None} | other
        return self.post("consent", **body)["participant"]

    def finish(self, given: dict[str, Any], status: int = 200, **other: Any) -> dict[str, Any]:
        return self.post("round", status, **played(given) | other)

    def play(self, **other: Any) -> list[dict[str, Any]]:
        """All rounds that there are, as they were handed out; the last answer tells of the end."""
        rounds = []
        while not (given := self.post("next")).get("over"):
            rounds.append(given)
            self.finish(given, **other)
        return [*rounds, given]


def played(given: dict[str, Any]) -> dict[str, Any]:
    """A round as a browser would tell of it."""
    over = "timeout" if given["task"] == "paint" else "done"
    return {
        "round": given["round"],
        "outcome": over,
        "duration_ms": given["settings"]["seconds"] * 1000,
        "pointer": "mouse",
        "scale": 2.0,
        "ratio": 1.0,
        "shown_width": given["width"] * 2.0,
        "shown_height": given["height"] * 2.0,
        "frames": 420,
        "late": 1,
        "period_ms": 16.7,
        "hidden": 0,
        "samples": [[0.0, 10.0, 20.0, "down"], [0.0, 10.0, 20.0, "bubble"]],
    }


def stroke(count: int, *, start: tuple[float, float] = (5.0, 5.0), step: float = 5.0) -> list[Any]:
    """Bubbles of a stroke to the right: [t_ms, x, y], one each 50 ms."""
    return [[50.0 * i, start[0] + step * i, start[1]] for i in range(count)]


@contextmanager
def opened(images: Path, folder: Path, **options: Any) -> Iterator[Collection]:
    """A study that is open."""
    with closing(Collection(images, folder, limits=UNBOUNDED, **options)) as collection:
        yield collection


def rounds_in(collection: Collection) -> list[dict[str, Any]]:
    """All rounds that are kept, in the order in which they were handed out."""
    with collection.database.transaction() as db:
        return [dict(row) for row in db.execute("SELECT * FROM rounds ORDER BY rowid")]
