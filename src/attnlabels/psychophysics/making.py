"""Make an experiment: pictures of what maps reveal of images, and who is to see which.

Linsley et al. (ICLR 2019, §2.2) ask whether people need fewer pixels of an image where the map says
what matters than where it says what draws the eye. Beside the maps that are compared are controls,
which reveal as many pixels in as round a region: what is gained by knowing the place alone, or
nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from tqdm import tqdm

from attnlabels.images.broken import Broken
from attnlabels.images.decoding import read_image, resize
from attnlabels.images.folder import Manifest
from attnlabels.images.names import some_of
from attnlabels.images.tree import list_tree
from attnlabels.pipeline.places import place_of_folder
from attnlabels.pipeline.writing import replacing_folder, write_rows
from attnlabels.psychophysics.design import Assignment, cells_of_set, n_sets
from attnlabels.psychophysics.maps import Maps, NoMap, open_maps
from attnlabels.psychophysics.reveal import random_order, reveal_order, revealed
from attnlabels.psychophysics.stimuli import Background, background_of, compose, pixels_of
from attnlabels.psychophysics.trials import PRACTICE, PRACTICE_TABLE, STIMULI, TABLE

Control = Literal["distance", "random", "other_image"]
Order = Int[np.ndarray, "h w"]
EVERY = "every"  # in place of the map type, of what is the same for all: nothing, or all, revealed
SET_ASIDE = "practice"  # and of what is no part of the experiment


@dataclass(frozen=True, kw_only=True)
class Making:
    """How stimuli are made; `experiment make` has the defaults."""

    shares: Sequence[float]  # of an image's pixels, 0..1: the levels
    per_class: int | None  # images, drawn by the seed; None: all
    side: int | None  # px, of the shorter side that images are brought to; None: as they are
    alpha: float  # how much faster the fill is where the map is high
    noise: float  # how irregular it is
    background: Background
    controls: Sequence[Control]
    assignment: Assignment
    missing: Broken  # at an image without a map: stop, or take another of its class
    seed: int
    practice: int = 0  # images of each class that are set aside, to be shown whole


class Chosen(NamedTuple):
    """An image of the experiment."""

    name: str  # path below the folder of images
    label: str
    pixels: UInt8[np.ndarray, "h w 3"]
    maps: dict[str, Float[np.ndarray, "h w"]]  # by map type


def make_experiment(
    maps: Mapping[str, Path], images: Path, out: Path, *, making: Making
) -> dict[str, int]:
    """Write the stimuli of two folders of maps or more as PNGs, and `stimuli.csv`, as `out`.

    `images` has a folder for each class. The columns of the table are those of
    `attnlabels.psychophysics.trials`. Images that are set aside for practice are in no set, but in
    `practice.csv`. Returns how many images, map types, levels, sets and pictures there are. The
    same parameters give the same bytes.

    Raises ValueError or OSError, naming what is wrong and where, for maps and images that do not
    fit each other or the parameters, and if `out` is there already, as somebody may be showing it;
    nothing is then written. An empty folder is filled.
    """
    types = [*maps, *making.controls]
    place_of_folder(out, replace=False)
    _require(types, making)
    opened = {name: open_maps(folder) for name, folder in maps.items()}
    chosen, set_aside = choose(images, opened, making)
    strangers = draw_strangers(len(chosen), seed=making.seed)
    with replacing_folder(out, replace=False) as aside:
        aside.mkdir()
        shown = {}
        for i, each in enumerate(tqdm(chosen, "stimuli", disable=None)):
            orders = orders_of(chosen, i, strangers[i], making)
            background = background_of(
                each.pixels,
                chosen[strangers[i]].pixels,
                of=making.background,
                rng=np.random.default_rng([making.seed, i, 2]),
            )
            shown[i] = _write(aside, each, orders, background, making.shares)
        sets = range(n_sets(len(types), len(making.shares)))
        rows = [row for number in sets for row in _rows(number, chosen, types, shown, making)]
        write_rows(aside / TABLE, rows, columns=STIMULI)
        if set_aside:
            whole = _write_whole(aside, images, set_aside, making)
            write_rows(aside / PRACTICE_TABLE, whole, columns=PRACTICE)
    return {
        "images": len(chosen),
        "map types": len(types),
        "levels": len(making.shares),
        "sets": len(sets),
        "pictures": len({row["stimulus"] for row in rows}),
        **({"to practise": len(set_aside)} if set_aside else {}),
    }


def choose(
    images: Path, maps: Mapping[str, Maps], making: Making
) -> tuple[list[Chosen], list[tuple[str, str]]]:
    """The images of each class that have a map of all types, as many as are asked for, by class.

    And names and classes of those that are set aside, which need no maps.
    """
    listed, left_out = list_tree(images, classes=True)
    if left_out:
        name, why = next(iter(left_out.items()))
        raise ValueError(f"{images}: {name} {why}; mend or remove it ({len(left_out)} such)")
    stems = [str(path).rpartition(".")[0] for path in listed.paths]
    if twice := [stem for stem, count in Counter(stems).items() if count > 1]:
        raise ValueError(
            f"{images}: two images {some_of(twice)} that differ in their endings; rename one"
        )
    rng = np.random.default_rng(making.seed)
    found, set_aside = list[Chosen](), list[tuple[str, str]]()
    for label, title in enumerate(listed.classes):
        of_class = rng.permutation(np.flatnonzero(listed.labels == label))
        last = max(len(of_class) - making.practice, 0)
        set_aside += [(str(listed.paths[number]), title) for number in of_class[last:]]
        taken = _take(images, listed, of_class[:last], title, maps, making)
        if len(taken) < (making.per_class or 1):
            raise ValueError(
                f"{images / title}: {len(taken)} images with all maps, {making.per_class or 1} are "
                f"asked for{_beside(making.practice)}; take fewer, or add maps"
            )
        found += taken
    return found, set_aside


def _beside(practice: int) -> str:
    return f", beside {practice} to practise" if practice else ""


def _take(
    images: Path,
    listed: Manifest,
    numbers: Int[np.ndarray, "_"],
    title: str,
    maps: Mapping[str, Maps],
    making: Making,
) -> list[Chosen]:
    taken: list[Chosen] = []
    for number in numbers:
        if len(taken) == making.per_class:
            break
        name = str(listed.paths[number])
        pixels = _resized(read_image(images / name), making.side)
        size = pixels.shape[0], pixels.shape[1]
        try:
            read = {key: each.read(name, size) for key, each in maps.items()}
        except NoMap:
            if making.missing == "stop":
                raise
            continue
        taken.append(Chosen(name, title, pixels, read))
    return taken


def _resized(image: UInt8[np.ndarray, "_ _ 3"], side: int | None) -> UInt8[np.ndarray, "_ _ 3"]:
    if side is None:
        return image
    h, w = image.shape[:2]
    return resize(image, round(h * side / min(h, w)), round(w * side / min(h, w)))


def draw_strangers(count: int, *, seed: int) -> list[int]:
    """Another image for each, of any class.

    Were it never of the same class, what is behind a region would tell which class it is not.
    """
    rng = np.random.default_rng([seed, count])
    return [(i + int(rng.integers(1, count))) % count for i in range(count)]


def orders_of(
    chosen: Sequence[Chosen], number: int, stranger: int, making: Making
) -> dict[str, Order]:
    """In which order each map type, and each control, reveals an image's pixels.

    All have the same noise, so that they differ by their maps alone. `distance` begins where the
    first map does, and `other_image` is the first map of another image.
    """
    size, first = chosen[number].pixels.shape[:2], next(iter(chosen[number].maps))

    def grow(map: Float[np.ndarray, "_ _"], alpha: float) -> Order:
        rng = np.random.default_rng([making.seed, number])
        return reveal_order(map, alpha=alpha, noise=making.noise, rng=rng)

    def strange() -> Order:
        map = chosen[stranger].maps[first]
        return grow(cv2.resize(map, size[::-1], interpolation=cv2.INTER_AREA), making.alpha)

    # not the noise's own stream: the place would go with it
    rng = np.random.default_rng([making.seed, number, 1])
    controls: dict[Control, Callable[[], Order]] = {
        "distance": lambda: grow(chosen[number].maps[first], 0.0),
        "random": lambda: random_order((size[0], size[1]), noise=making.noise, rng=rng),
        "other_image": strange,
    }
    orders = {name: grow(map, making.alpha) for name, map in chosen[number].maps.items()}
    return orders | {name: controls[name]() for name in making.controls}


Shown = dict[tuple[str, float], tuple[str, int, int]]  # path, pixels, lost


def _write(
    folder: Path,
    image: Chosen,
    orders: Mapping[str, Order],
    background: Float[np.ndarray, "h w 3"],
    shares: Sequence[float],
) -> Shown:
    """The pictures of an image, by map type and share."""
    shown: Shown = {}
    stem = PurePosixPath(image.name).with_suffix("")
    for name, order in orders.items():
        for share in shares:
            count = pixels_of(share, (order.shape[0], order.shape[1]))
            of = name if 0 < count < order.size else EVERY
            stimulus = compose(image.pixels, revealed(order, count), background)
            path = f"{of}/{share}/{stem}.png"
            _write_png(folder / path, stimulus.image)
            shown[name, share] = path, count, stimulus.lost
    return shown


def _write_whole(
    folder: Path, images: Path, set_aside: Sequence[tuple[str, str]], making: Making
) -> list[dict[str, str]]:
    """The pictures to practise with, and their rows."""
    rows = []
    for name, title in set_aside:
        path = f"{SET_ASIDE}/{PurePosixPath(name).with_suffix('')}.png"
        _write_png(folder / path, _resized(read_image(images / name), making.side))
        rows.append(dict(zip(PRACTICE, (name, title, path))))
    return rows


def _write_png(path: Path, picture: UInt8[np.ndarray, "_ _ 3"]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".png", picture[..., ::-1])
    path.write_bytes(data.tobytes())


def _rows(
    number: int,
    chosen: Sequence[Chosen],
    types: Sequence[str],
    shown: Mapping[int, Shown],
    making: Making,
) -> Iterator[dict[str, Any]]:
    """What the participants of a set see, a row an image."""
    square = {"n_types": len(types), "n_levels": len(making.shares)}
    cells = cells_of_set(number, len(chosen), **square, assignment=making.assignment)
    for i, (image, cell) in enumerate(zip(chosen, cells)):
        name, share = types[cell.map_type], making.shares[cell.level]
        path, pixels, lost = shown[i][name, share]
        values = (number, image.name, image.label, name, share, pixels, lost, path)
        yield dict(zip(STIMULI, values))


def _require(types: Sequence[str], making: Making) -> None:
    """Raises ValueError for parameters that do not fit each other."""
    reserved = (EVERY, SET_ASIDE)
    if twice := [name for name in types if types.count(name) > 1 or name in reserved]:
        raise ValueError(f"{twice[0]!r} is another map type's name; name the maps NAME=FOLDER")
    if len(types) < 2:
        raise ValueError(f"{', '.join(types) or 'no maps'}: nothing to compare; name two or more")
    shares = [*making.shares]
    if shares != sorted({*shares}) or not shares or shares[0] < 0 or shares[-1] > 1:
        raise ValueError(f"shares {shares}; expected some from 0 to 1, each above the one before")
