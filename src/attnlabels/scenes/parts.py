"""Synthetic scenes whose classes differ in a part of the object alone.

All objects are of one kind: a body of random outline, texture and hue, drawn in the same way for
every class. A small emblem at a random place on it has the shape and the hue of its class and tells
it; a box around the object is coarser than that. The background is that of the other scenes: with
the chance `shortcut` a region of it repeats the class's texture and hue, so that it tells the class
where that is high, and nothing where it is 0.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8

from attnlabels.scenes.scenes import (
    OUTLINES,
    SHAPES,
    TEXTURES,
    TURN,
    Style,
    as_photograph,
    clutter,
    fill,
    near_centre,
    paint_textured,
    shrunk,
    turned,
)

N_CORNERS = 64  # of a body's outline
HARMONICS = (2, 3, 4)  # of its radius around the circle
DENT = 0.12  # sd of each of them, in radii
REACH = 0.5  # how far from the body's middle the emblem's may be, in radii
PLAIN = TEXTURES.index("solid")  # the emblem's texture, of all classes


@dataclass(frozen=True, kw_only=True)
class PartScene:
    """A scene with one object, and where the part is that tells its class."""

    image: UInt8[np.ndarray, "h w 3"]
    mask: Float32[np.ndarray, "h w"]  # share of the object, its part included, in a pixel, 0..1
    part: Float32[np.ndarray, "h w"]  # share of the part in a pixel, 0..1
    label: int


def draw_part_scene(
    rng: np.random.Generator, label: int, *, size: int, part_size: float, style: Style
) -> PartScene:
    """A square scene with an object of class `label` (0..9), nothing in front of it.

    The emblem's diameter is `part_size` times the object's, which `style.object_size` gives.
    """
    if not 0 <= label < len(SHAPES):
        raise ValueError(f"label {label}: expected one in 0..{len(SHAPES) - 1}")
    if not 0 < part_size <= 1 - REACH:
        raise ValueError(f"part_size is {part_size}; expected above 0, at most {1 - REACH}")
    canvas = clutter(rng, label, height=size, width=size, style=style)
    side = canvas.shape[0]
    radius = side * rng.uniform(*style.object_size) / 2
    centre = near_centre(rng, canvas, spread=style.object_spread).clip(radius, side - radius)
    body = fill(canvas, [centre + radius * _body(rng)])
    look = (int(rng.integers(len(SHAPES))), int(rng.integers(len(SHAPES))))
    angle = rng.uniform(0, TURN)
    paint_textured(rng, canvas, body, centre=centre, angle=angle, look=look, style=style)

    away = turned(np.array([[0.0, radius * REACH * np.sqrt(rng.uniform())]]), rng.uniform(0, TURN))
    middle, angle = centre + away[0], rng.normal(0, style.rotation_sd)
    outlines = [middle + radius * part_size * turned(each, angle) for each in _emblem(label)]
    part = fill(canvas, outlines)
    paint_textured(rng, canvas, part, centre=middle, angle=angle, look=(PLAIN, label), style=style)
    return PartScene(
        image=as_photograph(rng, canvas, noise_sd=style.noise_sd),
        mask=shrunk(np.maximum(body, part)),
        part=shrunk(part),
        label=label,
    )


def _body(rng: np.random.Generator) -> Float[np.ndarray, "p 2"]:
    """A smooth outline (x, y) around the origin that reaches as far as 1 from it."""
    around = np.linspace(0, TURN, N_CORNERS, endpoint=False)
    radius = np.ones(N_CORNERS)
    for k in HARMONICS:
        radius += rng.normal(0, DENT) * np.cos(k * around + rng.uniform(0, TURN))
    radius = radius.clip(min=0.4)
    return np.stack([np.cos(around), np.sin(around)], axis=1) * (radius / radius.max())[:, None]


def _emblem(label: int) -> list[Float[np.ndarray, "p 2"]]:
    return OUTLINES[SHAPES[label]]
