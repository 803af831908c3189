"""Synthetic scenes: one or two objects of a known class on a cluttered, textured background.

A class is a shape, a texture family and a hue. The background shows textures of the same
families in any hue, so only the object tells the class. The background is easy to recognise all
the same: a network that tells pictures apart by it takes a shortcut that is of no use for classes.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

SHAPES = (
    "disc",
    "triangle",
    "square",
    "star",
    "cross",
    "ring",
    "heart",
    "arrow",
    "moon",
    "hourglass",
)
TEXTURES = (
    "stripes",
    "checker",
    "dots",
    "noise",
    "waves",
    "solid",
    "rings",
    "grid",
    "zigzag",
    "bricks",
)
SUPERSAMPLING = 2  # drawn at twice the size, then averaged
FRACTION_BITS = 4  # of a pixel, in the corners given to cv2
COLOUR_TRIES = 8  # for an object's contrast
TURN = 2 * np.pi


@dataclass(frozen=True, kw_only=True)
class Style:
    """How hard scenes are; lengths are shares of the image's shorter side.

    `shortcut` is the chance that a background region repeats the object's texture family and
    hue: 0 leaves background and class independent, 1 ties them.
    """

    object_size: tuple[float, float]  # diameter, drawn uniformly
    object_spread: float  # sd of the object's place around the image's centre
    rotation_sd: float  # radians
    hue_jitter: float  # sd, in turns of the colour circle
    contrast: float  # RGB distance (0..1 each) sought between an object and what it covers
    period: tuple[float, float]  # of a texture
    n_regions: tuple[int, int]
    n_distractors: tuple[int, int]
    occlusion: float  # chance of an occluder
    shortcut: float
    noise_sd: float  # of a pixel, range 0..1
    texture_shift: int  # class k has texture family k + shift
    hue_shift: float  # turns

    def __post_init__(self) -> None:
        for name in ("object_size", "period", "n_regions", "n_distractors"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} is [{low}, {high}], expected 0 <= low <= high")
        if self.object_size[1] > 1:
            raise ValueError(f"object_size ends at {self.object_size[1]}, expected at most 1")
        if self.period[0] == 0:
            raise ValueError("period begins at 0, expected a length above 0")
        for name in ("occlusion", "shortcut"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a chance in 0..1")


@dataclass(frozen=True, kw_only=True)
class Scene:
    image: UInt8[np.ndarray, "h w 3"]
    mask: Float32[np.ndarray, "h w"]  # visible share of objects in a pixel, 0..1
    labels: tuple[int, ...]  # of the objects, the first is the largest


def scene_rng(seed: int, split: str, *, index: int) -> np.random.Generator:
    """The generator of one image: it depends on nothing drawn before it."""
    return np.random.default_rng([seed, zlib.crc32(split.encode()), index])


def draw_scene(
    rng: np.random.Generator,
    labels: Sequence[int],
    *,
    height: int,
    width: int,
    style: Style,
) -> Scene:
    """A scene that holds an object of each of `labels` (0..9)."""
    if not labels or not all(0 <= label < len(SHAPES) for label in labels):
        raise ValueError(f"labels {list(labels)}: expected some, each in 0..{len(SHAPES) - 1}")
    canvas = clutter(rng, labels[0], height=height, width=width, style=style)
    visible = np.zeros(canvas.shape[:2], np.float32)
    for centre, diameter, label in _places(rng, canvas, labels=labels, style=style):
        visible = np.maximum(
            visible,
            _paint_object(rng, canvas, centre=centre, diameter=diameter, label=label, style=style),
        )
        if rng.random() < style.occlusion:
            visible *= 1 - _paint_occluder(rng, canvas, centre=centre, diameter=diameter)
    return Scene(
        image=as_photograph(rng, canvas, noise_sd=style.noise_sd),
        mask=shrunk(visible),
        labels=tuple(labels),
    )


def clutter(
    rng: np.random.Generator,
    label: int,
    *,
    height: int,
    width: int,
    style: Style,
) -> Float32[np.ndarray, "sh sw 3"]:
    """A canvas, SUPERSAMPLING times the size, of what lies behind an object of class `label`."""
    canvas = _background(rng, height=SUPERSAMPLING * height, width=SUPERSAMPLING * width)
    for _ in range(rng.integers(*style.n_regions, endpoint=True)):
        _paint_region(rng, canvas, label=label, style=style)
    for _ in range(rng.integers(*style.n_distractors, endpoint=True)):
        _paint_distractor(rng, canvas)
    return canvas


def as_photograph(
    rng: np.random.Generator, canvas: Float32[np.ndarray, "sh sw 3"], *, noise_sd: float
) -> UInt8[np.ndarray, "h w 3"]:
    """The canvas at the image's size, with noise."""
    image = shrunk(canvas)
    noisy = image + rng.normal(0, noise_sd, image.shape)
    return np.rint(255 * noisy.clip(0, 1)).astype(np.uint8)


def shrunk(drawn: Float32[np.ndarray, "sh sw *c"]) -> Float32[np.ndarray, "h w *c"]:
    """What was drawn on a canvas's pixels, at the image's size."""
    height, width = (side // SUPERSAMPLING for side in drawn.shape[:2])
    return cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)


def _background(
    rng: np.random.Generator,
    *,
    height: int,
    width: int,
) -> Float32[np.ndarray, "h w 3"]:
    """Three 1/f fields, mixed into colours at random, on a colour gradient."""
    h, w = height // SUPERSAMPLING, width // SUPERSAMPLING
    frequency = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None])
    frequency[0, 0] = np.inf  # no mean
    spectrum = np.fft.rfft2(rng.normal(size=(3, h, w)), axes=(1, 2))
    fields = np.fft.irfft2(spectrum / frequency ** rng.uniform(0.8, 1.4), s=(h, w), axes=(1, 2))
    fields /= fields.std(axis=(1, 2), keepdims=True)
    mixing = rng.normal(0, 0.1, (3, 3))
    angle = rng.uniform(0, TURN)
    across, down = np.linspace(-1, 1, w)[None], np.linspace(-1, 1, h)[:, None]
    ramp = np.cos(angle) * across + np.sin(angle) * down
    image = np.einsum("fhw,fc->hwc", fields, mixing)
    image += rng.uniform(0.2, 0.8, 3) + ramp[..., None] * rng.normal(0, 0.15, 3)
    image = image.clip(0, 1).astype(np.float32)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def _paint_region(
    rng: np.random.Generator,
    canvas: Float32[np.ndarray, "h w 3"],
    *,
    label: int,
    style: Style,
) -> None:
    """Texture a half-plane, in a family and hue of any class or, by `shortcut`, the object's."""
    family, hue = rng.integers(len(SHAPES), size=2).tolist()
    if rng.random() < style.shortcut:
        family = hue = label
    side = min(canvas.shape[:2])
    x, y = _grid(canvas, centre=near_centre(rng, canvas, spread=0.3), angle=rng.uniform(0, TURN))
    alpha = rng.uniform(0.6, 1) * (x + 0.5).clip(0, 1)
    light, dark = _colour_pair(rng, _class_hue(rng, hue, style=style))
    period = side * rng.uniform(*style.period)
    u, v = _rotated(x, y, angle=rng.uniform(0, TURN))
    pattern = _texture(rng, _family(family, style), u=u / period, v=v / period, period=period)
    _blend(canvas, alpha, colour=dark + pattern[..., None] * (light - dark))


def _paint_distractor(rng: np.random.Generator, canvas: Float32[np.ndarray, "h w 3"]) -> None:
    """A thin line, small polygon or small ellipse in any colour."""
    side = min(canvas.shape[:2])
    place = rng.uniform(0, 1, 2) * canvas.shape[1::-1]
    angle = rng.uniform(0, TURN)
    match rng.integers(3):
        case 0:
            corners = _box(rng.uniform(0.2, 0.6), rng.uniform(0.01, 0.03))
        case 1:
            spokes = np.sort(rng.uniform(0, TURN, rng.integers(3, 6)))
            corners = _around(spokes, rng.uniform(0.05, 0.1))
        case _:
            corners = _around(np.linspace(0, TURN, 24, endpoint=False), 1.0)
            corners = corners * rng.uniform(0.03, 0.1, 2)
    alpha = fill(canvas, [turned(corners * side, angle) + place])
    _blend(canvas, alpha, colour=rng.uniform(0, 1, 3))


def _places(
    rng: np.random.Generator,
    canvas: Float32[np.ndarray, "h w 3"],
    *,
    labels: Sequence[int],
    style: Style,
) -> list[tuple[Float[np.ndarray, "2"], float, int]]:
    """Centre (x, y), diameter and label of each object; later ones lie apart from the first."""
    side = min(canvas.shape[:2])
    # the first label is of the largest
    diameters = np.sort(rng.uniform(*style.object_size, len(labels)))[::-1] * side
    if len(labels) > 1:
        diameters = 0.75 * diameters  # room for all
    centres: list[Float[np.ndarray, 2]] = []
    for diameter in diameters:
        margin = 0.35 * diameter  # at most a small part is cut off
        tries = [
            near_centre(rng, canvas, spread=style.object_spread * (1 + len(centres))).clip(
                margin, np.array(canvas.shape[1::-1]) - margin
            )
            for _ in range(1 if not centres else 8)
        ]
        gaps = [min((np.hypot(*(each - other)) for other in centres), default=0) for each in tries]
        centres.append(tries[int(np.argmax(gaps))])
    return list(zip(centres, map(float, diameters), labels))


def _paint_object(
    rng: np.random.Generator,
    canvas: Float32[np.ndarray, "h w 3"],
    *,
    centre: Float[np.ndarray, "2"],
    diameter: float,
    label: int,
    style: Style,
) -> Float32[np.ndarray, "h w"]:
    """Paint the object and return its coverage of each pixel."""
    angle = rng.normal(0, style.rotation_sd)
    outlines = [
        turned(outline * diameter / 2, angle) + centre for outline in OUTLINES[SHAPES[label]]
    ]
    alpha = fill(canvas, outlines)
    paint_textured(rng, canvas, alpha, centre=centre, angle=angle, look=(label, label), style=style)
    return alpha


def paint_textured(
    rng: np.random.Generator,
    canvas: Float32[np.ndarray, "h w 3"],
    alpha: Float32[np.ndarray, "h w"],
    *,
    centre: Float[np.ndarray, "2"],
    angle: float,
    look: tuple[int, int],
    style: Style,
) -> None:
    """Cover the canvas by `alpha` in a texture turned by `angle`, in contrast to what is there.

    `look` is the class that has such a texture, and the one that has such a hue.
    """
    period = min(canvas.shape[:2]) * rng.uniform(*style.period)
    x, y = _grid(canvas, centre=centre, angle=angle)
    pattern = _texture(rng, _family(look[0], style), u=x / period, v=y / period, period=period)
    area = max(alpha.sum(), 1.0)  # an object wholly outside covers nothing
    covered = np.einsum("hw,hwc->c", alpha, canvas) / area
    lightness = (alpha * pattern).sum() / area
    best = -1.0
    for _ in range(COLOUR_TRIES):
        pair = _colour_pair(rng, _class_hue(rng, look[1], style=style))
        gap = float(np.linalg.norm(pair[1] + lightness * (pair[0] - pair[1]) - covered))
        if gap > best:
            best, (light, dark) = gap, pair
        if gap >= style.contrast:
            break
    _blend(canvas, alpha, colour=dark + pattern[..., None] * (light - dark))


def _paint_occluder(
    rng: np.random.Generator,
    canvas: Float32[np.ndarray, "h w 3"],
    *,
    centre: Float[np.ndarray, "2"],
    diameter: float,
) -> Float32[np.ndarray, "h w"]:
    """Lay a bar of one colour over a side of the object and return its coverage."""
    angle = rng.uniform(0, TURN)
    away = turned(np.array([[0.0, rng.uniform(0.15, 0.45) * diameter]]), angle)
    bar = _box(rng.uniform(0.7, 1.3) * diameter, rng.uniform(0.12, 0.24) * diameter)
    alpha = fill(canvas, [turned(bar, angle) + centre + away])
    _blend(canvas, alpha, colour=rng.uniform(0, 1, 3))
    return alpha


def _family(label: int, style: Style) -> str:
    return TEXTURES[(label + style.texture_shift) % len(TEXTURES)]


def _class_hue(rng: np.random.Generator, label: int, *, style: Style) -> float:
    """In turns. Neighbours in hue are far apart in `SHAPES`: 3 and 10 have no common factor."""
    return 3 * label / len(SHAPES) + style.hue_shift + rng.normal(0, style.hue_jitter)


def _colour_pair(
    rng: np.random.Generator,
    hue: float,
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """A light and a dark RGB colour of one hue (turns), range 0..1."""
    pure = (np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1).clip(0, 1)
    value, saturation = rng.uniform(0.7, 1), rng.uniform(0.5, 0.95)
    light = value * (1 - saturation * (1 - pure))
    return light, light * rng.uniform(0.25, 0.5)


def _texture(
    rng: np.random.Generator,
    family: str,
    *,
    u: Float[np.ndarray, "h w"],
    v: Float[np.ndarray, "h w"],
    period: float,
) -> Float[np.ndarray, "h w"]:
    """The family's pattern (0 dark, 1 light) at coordinates in periods of `period` pixels."""
    height = PATTERNS[family](u, v, rng)
    return (0.5 + height * period / 4).clip(0, 1)  # an edge is about a pixel wide: no aliasing


def _noise(
    u: Float[np.ndarray, "h w"],
    v: Float[np.ndarray, "h w"],
    *,
    rng: np.random.Generator,
) -> Float[np.ndarray, "h w"]:
    """Blobs: a sum of waves of about one period in random directions."""
    angles = rng.uniform(0, TURN, 6)
    lengths = rng.uniform(0.7, 1.3, 6)
    phases = rng.uniform(0, TURN, 6)
    return (
        sum(
            np.cos(TURN * f * _rotated(u, v, angle=a)[0] + p)
            for a, f, p in zip(angles.tolist(), lengths.tolist(), phases.tolist())
        )
        / 2
    )


def _bricks(u: Float[np.ndarray, "h w"], v: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Courses one period high of bricks two periods long, each shifted by one, dark joints."""
    course = np.floor(v)
    return np.minimum(_triangle(v + 0.5), 2 * _triangle((u + course) / 2)) + 0.55


def _triangle(phase: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """A wave of period 1 between -1 (at whole numbers and a half) and 1 (at whole numbers)."""
    return 4 * np.abs(phase % 1 - 0.5) - 1


Pattern = Callable[
    [Float[np.ndarray, "h w"], Float[np.ndarray, "h w"], np.random.Generator],
    Float[np.ndarray, "h w"],
]
# Height above the edge between dark and light, about 4 per period at the edge.
PATTERNS: dict[str, Pattern] = {
    "stripes": lambda u, v, rng: _triangle(u),
    "checker": lambda u, v, rng: 2 * np.sin(np.pi * u) * np.sin(np.pi * v),
    "dots": lambda u, v, rng: 4 * (0.3 - np.hypot(u % 1 - 0.5, v % 1 - 0.5)),
    "noise": lambda u, v, rng: _noise(u, v, rng=rng),
    "waves": lambda u, v, rng: _triangle(v + 0.3 * np.sin(TURN * u / 2)),
    "solid": lambda u, v, rng: np.ones_like(u),
    "rings": lambda u, v, rng: _triangle(np.hypot(u, v)),
    "grid": lambda u, v, rng: np.maximum(_triangle(u), _triangle(v)) - 0.5,
    "zigzag": lambda u, v, rng: _triangle(v + 0.5 * _triangle(u / 2)),
    "bricks": lambda u, v, rng: _bricks(u, v),
}


def _around(
    angles: Float[np.ndarray, "p"],
    radius: float | Float[np.ndarray, "p"],
) -> Float[np.ndarray, "p 2"]:
    """Points (x, y) at `angles` from the top, clockwise."""
    return np.stack([np.sin(angles) * radius, -np.cos(angles) * radius], axis=1)


def _box(length: float, thickness: float) -> Float[np.ndarray, "4 2"]:
    return np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) * [length / 2, thickness / 2]


def _regular(n: int) -> Float[np.ndarray, "p"]:
    return np.linspace(0, TURN, n, endpoint=False)


def _heart() -> Float[np.ndarray, "p 2"]:
    t = _regular(48)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y - 2.5], axis=1) / 16


def _moon() -> Float[np.ndarray, "p 2"]:
    outer = _around(np.linspace(0.06, 0.94, 32) * TURN + TURN / 4, 1.0)
    inner = _around(np.linspace(0.86, 0.14, 24) * TURN + TURN / 4, 0.66) + np.array([0.4, 0.0])
    return np.concatenate([outer, inner]) + np.array([0.1, 0.0])


# Outlines (x right, y down) of radius about 1; where two overlap is a hole.
OUTLINES: dict[str, list[Float[np.ndarray, "p 2"]]] = {
    "disc": [_around(_regular(48), 0.9)],
    "triangle": [_around(_regular(3), 1.1) + np.array([0, 0.15])],
    "square": [_around(_regular(4) + TURN / 8, 1.15)],
    "star": [_around(_regular(10), np.tile([1.15, 0.48], 5))],
    "cross": [
        np.array(
            [
                [-0.33, -1],
                [0.33, -1],
                [0.33, -0.33],
                [1, -0.33],
                [1, 0.33],
                [0.33, 0.33],
                [0.33, 1],
                [-0.33, 1],
                [-0.33, 0.33],
                [-1, 0.33],
                [-1, -0.33],
                [-0.33, -0.33],
            ]
        )
    ],
    "ring": [_around(_regular(48), 1.0), _around(_regular(48), 0.52)],
    "heart": [_heart()],
    "arrow": [
        np.array(
            [
                [-1, -0.32],
                [0.1, -0.32],
                [0.1, -0.85],
                [1.05, 0],
                [0.1, 0.85],
                [0.1, 0.32],
                [-1, 0.32],
            ]
        )
    ],
    "moon": [_moon()],
    "hourglass": [
        np.array(
            [
                [-0.8, -1],
                [0.8, -1],
                [0.2, 0],
                [0.8, 1],
                [-0.8, 1],
                [-0.2, 0],
            ]
        )
    ],
}


def turned(points: Float[np.ndarray, "p 2"], angle: float) -> Float[np.ndarray, "p 2"]:
    """`points` (x, y) turned clockwise, as y points down."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return points @ np.array([[cosine, sine], [-sine, cosine]])


def near_centre(
    rng: np.random.Generator,
    canvas: Float32[np.ndarray, "h w 3"],
    *,
    spread: float,
) -> Float[np.ndarray, "2"]:
    """A place (x, y) around the image's centre, `spread` a share of each side."""
    return (0.5 + rng.normal(0, spread, 2)) * canvas.shape[1::-1]


def _grid(
    canvas: Float32[np.ndarray, "h w 3"],
    *,
    centre: Float[np.ndarray, "2"],
    angle: float,
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Each pixel's x and y in a frame at `centre` turned clockwise by `angle`."""
    x = (np.arange(canvas.shape[1]) + 0.5 - centre[0]).astype(np.float32)[None]
    y = (np.arange(canvas.shape[0]) + 0.5 - centre[1]).astype(np.float32)[:, None]
    return _rotated(x, y, angle=angle)


def _rotated(
    x: Float[np.ndarray, "#h w"],
    y: Float[np.ndarray, "h #w"],
    *,
    angle: float,
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """The same places in axes turned clockwise by `angle`."""
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))  # keeps float32 narrow
    return cosine * x + sine * y, cosine * y - sine * x


def fill(
    canvas: Float32[np.ndarray, "h w 3"],
    outlines: list[Float[np.ndarray, "p 2"]],
) -> Float32[np.ndarray, "h w"]:
    """Coverage, 0..1, of each pixel of `canvas` by the polygons (x, y)."""
    coverage = np.zeros(canvas.shape[:2], np.uint8)
    # cv2 counts from the centre of the first pixel
    corners = [np.rint((each - 0.5) * 2**FRACTION_BITS).astype(np.int32) for each in outlines]
    cv2.fillPoly(coverage, corners, 255, lineType=cv2.LINE_AA, shift=FRACTION_BITS)
    return coverage.astype(np.float32) / 255


def _blend(
    canvas: Float32[np.ndarray, "h w 3"],
    alpha: Float[np.ndarray, "h w"],
    *,
    colour: Float[np.ndarray, "*pixels 3"],
) -> None:
    """Lay `colour` over `canvas`, in place."""
    over = colour.astype(np.float32) - canvas
    over *= alpha.astype(np.float32)[..., None]
    canvas += over
