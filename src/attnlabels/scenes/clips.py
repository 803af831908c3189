"""Synthetic clips whose classes differ in how one object moves, and where people look in them.

An object of any shape, texture and hue moves over a still background in the way of its class. Two
smaller ones and more move in the ways of other classes, so that who cannot tell the large one does
not know which of several motions counts. In the middle frame all are where they were put, and as
large, whatever their class: nothing that is seen in it goes with that.
Eyes follow the object: in frame t they are where it was `lag` frames before, with an error, or at
the centre of the picture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from pydantic import Field

from attnlabels.scenes.observers import Amount, Number, Share
from attnlabels.scenes.scenes import (
    OUTLINES,
    SHAPES,
    SUPERSAMPLING,
    TEXTURES,
    TURN,
    Style,
    as_photograph,
    clutter,
    fill,
    near_centre,
    paint_textured,
    turned,
)

Motion = Callable[[float, float], tuple[float, float, float]]
# Of the time from -½ to ½ and of a phase: how far right and down an object is, in the motion's
# reach, and how large. In half of the time none goes further than the reach.
MOTIONS: dict[str, Motion] = {
    "left": lambda t, phase: (-2 * t, 0.0, 1.0),
    "right": lambda t, phase: (2 * t, 0.0, 1.0),
    "up": lambda t, phase: (0.0, -2 * t, 1.0),
    "circle": lambda t, phase: (np.cos(TURN * t + phase) / 2, np.sin(TURN * t + phase) / 2, 1.0),
    "expand": lambda t, phase: (0.0, 0.0, 1 + 0.9 * t),
    "shake": lambda t, phase: (np.sign(np.sin(2 * TURN * t + phase)) / 2, 0.0, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Moving:
    """How objects move; lengths are shares of the side."""

    n_frames: Annotated[int, Field(ge=2)]
    reach: Annotated[float, Field(gt=0, le=0.5)]
    object_size: tuple[Share, Share]  # diameters
    other_size: tuple[Share, Share]
    n_others: tuple[Annotated[int, Field(ge=0)], Number]


@dataclass(frozen=True, kw_only=True)
class Follower:
    """The observers of a clip; see the module."""

    n_observers: Number
    lag: Annotated[int, Field(ge=0)]  # frames
    error: Amount  # sd, of the side
    centre_share: Share  # chance that a look is at the centre


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames, and the middle (row, col) of the object in each."""

    frames: UInt8[np.ndarray, "t h w 3"]
    places: Float[np.ndarray, "t 2"]
    label: int


@dataclass(frozen=True, kw_only=True)
class _Sprite:
    """A thing on a canvas of its own, in the middle, and how it moves."""

    colour: Float32[np.ndarray, "s s 3"]
    cover: Float32[np.ndarray, "s s"]
    start: Float[np.ndarray, "2"]  # (x, y), in the middle frame
    motion: Motion
    phase: float


def draw_clip(
    rng: np.random.Generator, label: int, *, size: int, moving: Moving, style: Style
) -> Clip:
    """A square clip of class `label`, a number of MOTIONS."""
    ways = [*MOTIONS.values()]
    if not 0 <= label < len(ways):
        raise ValueError(f"label {label}: expected one in 0..{len(ways) - 1}")
    hue = int(rng.integers(len(SHAPES)))
    behind = clutter(rng, hue, height=size, width=size, style=style)
    others = rng.choice(
        [k for k in range(len(ways)) if k != label], rng.integers(*moving.n_others, endpoint=True)
    )
    sprites = [
        _sprite(rng, behind, ways[k], diameters=moving.other_size, spread=0.3, style=style)
        for k in others.tolist()
    ]
    sprites.append(
        _sprite(
            rng,
            behind,
            ways[label],
            diameters=moving.object_size,
            spread=style.object_spread,
            style=style,
        )
    )
    reach, frames, places = moving.reach * behind.shape[0], [], []
    times = np.linspace(-0.5, 0.5, moving.n_frames).tolist()
    for t in times:
        canvas = behind.copy()
        for sprite in sprites:
            place = _lay(canvas, sprite, t, middle=times[moving.n_frames // 2], reach=reach)
        frames.append(as_photograph(rng, canvas, noise_sd=style.noise_sd))
        places.append(place[::-1] / SUPERSAMPLING)
    return Clip(frames=np.stack(frames), places=np.stack(places), label=label)


def follow(
    rng: np.random.Generator, clip: Clip, *, follower: Follower
) -> list[Int[np.ndarray, "t 2"]]:
    """Where each observer looks in each frame, (row, col) from 0."""
    n, side = len(clip.frames), clip.frames.shape[1]
    seen = clip.places[(np.arange(n) - follower.lag).clip(0)]
    trails = []
    for _ in range(follower.n_observers):
        at_centre = rng.random((n, 1)) < follower.centre_share
        looked = np.where(at_centre, side / 2, seen)
        looked = looked + rng.normal(0, follower.error * side, (n, 2))
        trails.append(np.floor(looked).clip(0, side - 1).astype(np.int64))
    return trails


def _sprite(
    rng: np.random.Generator,
    behind: Float32[np.ndarray, "s s 3"],
    motion: Motion,
    *,
    diameters: tuple[float, float],
    spread: float,
    style: Style,
) -> _Sprite:
    side = behind.shape[0]
    middle = np.array([side / 2, side / 2])
    angle, kind = rng.uniform(0, TURN), SHAPES[rng.integers(len(SHAPES))]
    radius = side * rng.uniform(*diameters) / 2
    cover = fill(behind, [turned(each * radius, angle) + middle for each in OUTLINES[kind]])
    start = near_centre(rng, behind, spread=spread).clip(0.3 * side, 0.7 * side)
    colour = behind.copy()
    look = (int(rng.integers(len(TEXTURES))), int(rng.integers(len(SHAPES))))
    paint_textured(
        rng, colour, np.ones_like(cover), centre=middle, angle=angle, look=look, style=style
    )
    phase = rng.uniform(0, TURN)
    return _Sprite(colour=colour, cover=cover, start=start, motion=motion, phase=phase)


def _lay(
    canvas: Float32[np.ndarray, "s s 3"], sprite: _Sprite, t: float, *, middle: float, reach: float
) -> Float[np.ndarray, "2"]:
    """Lay the thing over the canvas as it is at time `t`; returns its middle (x, y).

    At the time `middle` it is where it starts, as large as it was drawn.
    """
    (*now, size), (*then, whole) = (
        sprite.motion(t, sprite.phase),
        sprite.motion(middle, sprite.phase),
    )
    place = sprite.start + reach * (np.array(now) - then)
    side, scale = canvas.shape[0], size / whole
    shift = place - scale * side / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    cover = cv2.warpAffine(sprite.cover, matrix, (side, side))[..., None]
    colour = cv2.warpAffine(sprite.colour, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    canvas += cover * (colour - canvas)
    return place
