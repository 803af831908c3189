"""The scenes of a split, each drawn by its index alone, on any number of processes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from jaxtyping import Int
from tqdm import tqdm

from attnlabels.processes.workers import pool
from attnlabels.scenes.observers import Eye, Mouse, attention_map, eye_fixations, mouse_samples
from attnlabels.scenes.scenes import Scene, Style, draw_scene, scene_rng

Item = TypeVar("Item")
Observe = Callable[[np.random.Generator, Scene], list[Int[np.ndarray, "_ 2"]]]


class Mapper(Protocol):
    def __call__(self, function: Callable[..., Item], split: str, n: int) -> Iterator[Item]: ...


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A scene and where people looked."""

    scene: Scene
    trails: list[Int[np.ndarray, "_ 2"]]  # an observer's each: (row, col) from 1


@contextmanager
def mapping(workers: int) -> Iterator[Mapper]:
    """Calls `function(index, split=split)` for `n` indices, in order, on so many processes."""

    def serial(function: Callable[..., Item], split: str, n: int) -> Iterator[Item]:
        return map(partial(function, split=split), tqdm(range(n), desc=split, disable=None))

    def parallel(function: Callable[..., Item], split: str, n: int) -> Iterator[Item]:
        results = processes.map(partial(function, split=split), range(n), chunksize=32)
        return iter(tqdm(results, desc=split, total=n, disable=None))

    if workers == 1:
        yield serial
        return
    with pool(workers) as processes:
        yield parallel


def classified(
    index: int,
    *,
    split: str,
    seed: int,
    n_classes: int,
    size: int,
    style: Style,
) -> Scene:
    """A square scene with one object; indices take the classes in turn."""
    rng = scene_rng(seed, split, index=index)
    return draw_scene(rng, [index % n_classes], height=size, width=size, style=style)


def draw_wide(
    rng: np.random.Generator,
    *,
    n_classes: int,
    size: int,
    two_objects: float,
    style: Style,
) -> Scene:
    """A 4:3 scene, as SALICON's and OSIE's, with one or two objects of different classes."""
    n = 2 if rng.random() < two_objects else 1
    labels = rng.permutation(n_classes)[:n].tolist()
    return draw_scene(rng, labels, height=size, width=4 * size // 3, style=style)


def watched(
    index: int, *, split: str, seed: int, draw: Callable[..., Scene], observe: Observe
) -> Watched:
    """A scene and its observers, all of one generator."""
    rng = scene_rng(seed, split, index=index)
    scene = draw(rng)
    return Watched(scene=scene, trails=observe(rng, scene))


def watched_again(
    index: int, *, split: str, seed: int, draw: Callable[..., Scene], observe: Observe
) -> Watched:
    """A scene as `draw` has it without observers, with observers of a generator of their own."""
    scene, rng = draw(index, split=split), scene_rng(seed, f"people on {split}", index=index)
    return Watched(scene=scene, trails=observe(rng, scene))


def by_mouse(
    rng: np.random.Generator, scene: Scene, *, mouse: Mouse
) -> list[Int[np.ndarray, "_ 2"]]:
    """Each observer's trail over the scene."""
    return mouse_samples(
        rng,
        attention_map(scene.image, scene.mask, **vars(mouse.attention)),
        n_observers=mouse.n_observers,
        n_targets=mouse.n_targets,
        n_samples=mouse.n_samples,
        interest_sd=mouse.interest_sd,
    )


def by_eye(rng: np.random.Generator, scene: Scene, *, eye: Eye) -> list[Int[np.ndarray, "_ 2"]]:
    """Each observer's fixations of the scene."""
    return eye_fixations(
        rng,
        attention_map(scene.image, scene.mask, **vars(eye.attention)),
        n_observers=eye.n_observers,
        n_fixations=eye.n_fixations,
        interest_sd=eye.interest_sd,
        error_px=eye.error_px,
    )
