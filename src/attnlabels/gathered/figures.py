"""The figures and the pictures of a study's report."""

import io
from collections.abc import Mapping, Sequence

import cv2
import matplotlib
import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from attnlabels.clickmaps.blurring import Blur, blur, mean_map
from attnlabels.collecting.folder import Image
from attnlabels.gathered.agreement import Agreed
from attnlabels.gathered.choosing import Played
from attnlabels.gathered.points import Points
from attnlabels.gathered.quality import Player
from attnlabels.gathered.study import Round, Study
from attnlabels.images.overlays import fit_inside, overlay
from attnlabels.reporting.figures import STYLE
from attnlabels.reporting.legend import RUN_COLOURS

GOOD, BAD, FAINT = RUN_COLOURS[1], RUN_COLOURS[4], "#777777"
OUTCOMES = {
    "recognised": RUN_COLOURS[1],
    "timeout": RUN_COLOURS[0],
    "done": RUN_COLOURS[3],
    "skipped": "#bbbbbb",
}
SIDE = 128  # pixels of a picture's longer side
LINE = (255, 255, 255)
START = (86, 180, 233)
NO_POINTS = np.zeros((0, 2), np.int64)


def draw_rounds(study: Study) -> Figure:
    """How long rounds of play lasted, by their outcome, and how often each image was played."""
    played = [each for each in study.rounds if each.kind in ("play", "repeat")]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        told = {name: _seconds(played, name) for name in OUTCOMES}
        some = {name: times for name, times in told.items() if times}
        colours = [OUTCOMES[name] for name in some]
        left.hist([*some.values()], 28, stacked=True, color=colours, label=[*some])
        left.set(xlabel="seconds that a round lasted", ylabel="rounds")
        left.legend()
        counts = [0] * len(study.images)
        places = {each.number: i for i, each in enumerate(study.images)}
        for each in played:
            counts[places[each.image.number]] += each.outcome != "skipped"
        plain = [n for n, image in zip(counts, study.images) if not image.catch]
        bins = np.arange(max(plain, default=0) + 2) - 0.5
        right.hist(plain, bins.tolist(), color=GOOD, rwidth=0.85)
        right.set(xlabel="plays of an image", ylabel="images")
        for axis in (left.yaxis, right.xaxis, right.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
    return figure


def draw_agreement(
    agreed: Agreed, players: Mapping[str, Player], *, suspicious: Sequence[str]
) -> Figure:
    """Agreement as players are added, and each player's own agreement beside their null."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        sizes = [each.players for each in agreed.growth]
        means = [each.rho.mean for each in agreed.growth]
        errors = [each.rho.se or 0.0 for each in agreed.growth]
        left.errorbar(sizes, means, errors, fmt="o", ms=5, color=GOOD, label="measured")
        predicted = [each.predicted for each in agreed.growth]
        left.plot(sizes, predicted, color=FAINT, label="from single players (Spearman, Brown)")
        if agreed.null is not None:
            left.axhline(agreed.null.mean, color=BAD, dashes=(4, 3), label="players of two images")
        left.set(xlabel="players that each of two mean maps is of", ylabel="Spearman's ρ")
        left.set(ylim=(min(0.0, *means), 1), xticks=sizes)
        left.legend(loc="center right")
        for name, colour, bad in (("others", GOOD, False), ("look wrong", BAD, True)):
            own = [each for id, each in players.items() if (id in suspicious) is bad]
            known = [each.values for each in own if each.values["null"] is not None]
            x, y = ([each[key] for each in known] for key in ("null", "agreement"))
            right.scatter(x, y, s=26, color=colour, label=name)
        low, high = right.get_xlim()
        right.axline((0, 0), slope=1, color=FAINT, linewidth=1, dashes=(2, 3))
        right.set(xlim=(low, high), xlabel="ρ with the others, other images")
        right.set(ylabel="ρ with the others, same image")
        right.legend(loc="lower right")
    return figure


def as_png(figure: Figure) -> bytes:
    """The figure as a file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def picture_of(pixels: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """An image at the size of the pictures."""
    return fit_inside(pixels, side=SIDE)


def picture_of_map(
    pixels: UInt8[np.ndarray, "_ _ 3"], rounds: Sequence[Played], *, blur_by: Blur
) -> UInt8[np.ndarray, "_ _ 3"]:
    """The image under the mean of its players' blurred maps; the image where nobody played."""
    picture = picture_of(pixels)
    if not rounds:
        return picture
    image = rounds[0].round.image
    size = (image.height, image.width)
    cells = np.concatenate([each.points.cells for each in rounds])
    who = np.repeat(np.arange(len(rounds)), [len(each.points.t) for each in rounds])
    map = blur(mean_map(cells, who, size=size, count="binary"), blur_by)
    top = float(map.max()) or 1.0
    return overlay(picture, map / np.float32(top), NO_POINTS, grid=size)


def picture_of_way(
    pixels: UInt8[np.ndarray, "_ _ 3"], points: Points, image: Image
) -> UInt8[np.ndarray, "_ _ 3"]:
    """The image under a player's way over it; a disc is where it began."""
    picture = picture_of(pixels).copy()
    h, w = picture.shape[:2]
    places = np.rint(points.xy * np.divide((w, h), (image.width, image.height))).astype(np.int32)
    for width, colour in ((4, (0, 0, 0)), (2, LINE)):
        cv2.polylines(picture, [places.reshape(-1, 1, 2)], False, colour, width, cv2.LINE_AA)
    for x, y in places[:1].tolist():
        cv2.circle(picture, (x, y), 5, (0, 0, 0), cv2.FILLED, cv2.LINE_AA)
        cv2.circle(picture, (x, y), 4, START, cv2.FILLED, cv2.LINE_AA)
    return picture


def _seconds(played: Sequence[Round], outcome: str) -> list[float]:
    return [each.duration_ms / 1000 for each in played if each.outcome == outcome]
