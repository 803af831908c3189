"""The images as browsers are shown them: the files' own bytes where these look the same there."""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image as Pillow

from attnlabels.collecting.folder import Image, Study
from attnlabels.images.decoding import UNREADABLE, decode
from attnlabels.images.formats import kind_of
from attnlabels.serving.refusals import Refused
from attnlabels.serving.site import DIGITS, Caller, Picture, number_of, unchanged

MIME = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}  # that all browsers read
ORIENTATION, UPRIGHT = 0x0112, (None, 1)  # of EXIF; browsers turn images by it, we do not
LEVELS = 3  # of blur around the pointer: each has half the next one's sigma
QUALITY = 92  # of the JPEG of a blurred image
PIXELS_KEPT, BYTES_KEPT = 32, 64

Value = TypeVar("Value")


class Kept:
    """The last values that were made, by what they were made of; several threads may ask."""

    def __init__(self, most: int) -> None:
        self.most, self.lock = most, threading.Lock()
        self.values: OrderedDict[Hashable, object] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of `key`, made if it is not kept."""
        with self.lock:
            if key in self.values:
                self.values.move_to_end(key)
                return self.values[key]  # type: ignore[return-value]
        value = make()
        self.put(key, value)
        return value

    def put(self, key: Hashable, value: object) -> None:
        """Keep a value."""
        with self.lock:
            self.values[key] = value
            while len(self.values) > self.most:
                self.values.popitem(last=False)

    def peek(self, key: Hashable) -> Any:
        """The value of `key`, or None."""
        with self.lock:
            return self.values.get(key)

    def drop(self, key: Hashable) -> None:
        """Keep the value of `key` no more, if it is kept."""
        with self.lock:
            self.values.pop(key, None)


class Pictures:
    """The images of a study, by number alone."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.pixels_kept, self.bytes_kept = Kept(PIXELS_KEPT), Kept(BYTES_KEPT)

    def show(self, caller: Caller, number: str, asked: Mapping[str, str]) -> Picture:
        """The image of that number; with `blur`, a level from 1, blurred."""
        caller.require()
        image = self.image(number)
        level = asked.get("blur", "0")
        if level not in map(str, range(LEVELS + 1)):
            raise Refused(404, f"blur {level[:DIGITS]!r}; there is 0 to {LEVELS}")
        sigma = self.sigma(int(level))
        key = image.number, sigma
        return self.bytes_kept.get(
            key, lambda: self._blurred(image, sigma) if sigma else self._plain(image)
        )

    def image(self, number: str) -> Image:
        """The image that a client calls so; raises Refused for what is no number of one."""
        i = number_of(number, len(self.study.images))
        if i is None:
            raise Refused(404, f"no image {number[:DIGITS]!r}")
        return self.study.images[i]

    def sigma(self, level: int) -> float:
        """Of a level's blur, in pixels of the image."""
        played = self.study.settings.played
        blur_px = getattr(played, "blur_px", 0.0)
        if level == 0 or not blur_px:
            return 0.0
        return blur_px if self.study.settings.task == "peek" else blur_px / 2 ** (LEVELS - level)

    def pixels(self, image: Image) -> UInt8[np.ndarray, "h w 3"]:
        """The image decoded, as the maps that come of it count its pixels."""
        make = lambda: decode(self._read(image), name=image.path)  # noqa: E731 (of one use)
        return self.pixels_kept.get(image.number, make)

    def _read(self, image: Image) -> bytes:
        path, name = self.study.root / image.path, f"image {image.number}"
        return unchanged(path, image.sha256, name=name, of="study")

    def _plain(self, image: Image) -> Picture:
        data = self._read(image)
        kind = kind_of(data)
        if kind in MIME and _is_upright(data):
            return Picture(data, MIME[kind])
        return _encoded(decode(data, name=image.path), ".png")

    def _blurred(self, image: Image, sigma: float) -> Picture:
        blurred = cv2.GaussianBlur(
            self.pixels(image), (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101
        )
        return _encoded(blurred, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def _is_upright(data: bytes) -> bool:
    try:
        with Pillow.open(io.BytesIO(data)) as opened:
            return not getattr(opened, "is_animated", False) and (
                opened.getexif().get(ORIENTATION) in UPRIGHT
            )
    except UNREADABLE:
        return False


def _encoded(
    pixels: UInt8[np.ndarray, "h w 3"], suffix: str, manner: list[int] | None = None
) -> Picture:
    _, data = cv2.imencode(suffix, pixels[..., ::-1], manner or [])
    return Picture(data.tobytes(), {".png": MIME["png"], ".jpg": MIME["jpg"]}[suffix])
