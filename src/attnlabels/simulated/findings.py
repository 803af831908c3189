"""What a study of simulated players shows, of whom one knows what they are (STUDIES §F.2).

Whether players agree more than chance and more players agree better; whether who stops as soon as a
partner knows the class paints more compactly than who goes on; whether bad players are told from
the others; and whether a teacher of what they painted is better than a centre prior.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from attnlabels.clickmaps.blurring import Blur, bubbled, mean_map
from attnlabels.clickmaps.blurring import blur as blurred
from attnlabels.clickmaps.masks import read_mask
from attnlabels.clickmaps.playing import area_under_curve, half_area
from attnlabels.collecting.folder import Image
from attnlabels.gathered.agreement import Agreed
from attnlabels.gathered.choosing import Chosen, Played
from attnlabels.gathered.painted import by_image
from attnlabels.gathered.quality import SUSPICIOUS, Player
from attnlabels.metrics.permutations import sign_flips
from attnlabels.metrics.statistics import mean_se
from attnlabels.reporting.tables import Row, Table
from attnlabels.simulated.strokes import HONEST, Manner

ADAPTIVE, SAME_TIME, FREE = "adaptive", "free, for as long", "free, to the end"
MEASURES = ("area uncovered", "share on the part", "area of half the map")
TEXTS = {
    "agreement": (
        "How far players agree",
        "Spearman's ρ of blurred maps, mean over images ± standard error: of two players of an "
        "image; of players of two images, the null; the reliability of the mean map of all of an "
        "image, from its halves; and the ceiling, its root. First without whom the measures "
        "suspect, then with all.",
    ),
    "growth": (
        "More players",
        "ρ of the mean maps of two groups of so many players, of the same images; `predicted` from "
        "single players by Spearman and Brown, whose formula is of correlations that are linear.",
    ),
    "ways": (
        "Who stops as soon as the partner knows, and who goes on",
        "Painters alone, of images that both painted, as many of each: who asks the partner; who "
        "does not, cut off when the others stopped; and these until the time is over. Area: share "
        "of the image that a player uncovers. On the part: share of the bubbles. Area of half the "
        "map: least share of the pixels that holds half of the mean blurred map. `p` by sign flips "
        "over images, against the adaptive.",
    ),
    "quality": (
        "Who is told from the others",
        "Area under the curve of the suspicion, of one manner against painters, tracers and who "
        "colours in; of who colours in, that of the area, in the others', against painters. "
        "`named`: share above the report's threshold.",
    ),
    "teacher": (
        "A teacher of what was painted",
        "Scores on images that it did not learn, of their players' maps; half of the players, and "
        "what all would reach, are the ceiling.",
    ),
}


class Ways(NamedTuple):
    """The measures of each way of painting, a value an image, in the order of MEASURES."""

    values: dict[str, Float[np.ndarray, "m n"]]

    def table(self, *, permutations: int, seed: int) -> Table:
        """Means, and tests of each way against the adaptive one."""
        table: Table = {}
        for name, values in self.values.items():
            row: Row = dict(zip(MEASURES, map(mean_se, values)))
            if name != ADAPTIVE:
                for key, own, theirs in zip(MEASURES, self.values[ADAPTIVE], values):
                    test = sign_flips(theirs - own, permutations=permutations, seed=seed)
                    row[f"p, {key}"] = test.p
            table[name] = row
        return table


def painters_of(chosen: Chosen, manners: Mapping[str, Manner]) -> list[Played]:
    """The rounds of painters."""
    return [each for each in chosen.rounds if manners[each.round.participant] == "painter"]


def compare_ways(
    adaptive: Sequence[Played],
    free: Sequence[Played],
    *,
    parts: Path,
    reach: int,
    blur: Blur,
) -> Ways:
    """Rounds of who asks the partner beside those of who goes on to the end.

    `parts` has a mask `<class>/<stem>.png` of each image, `reach` is a bubble's side in pixels.
    Raises ValueError where no image has rounds of both.
    """
    others = {image.number: rounds for image, rounds in by_image(free)}
    found: dict[str, list[list[float]]] = {ADAPTIVE: [], SAME_TIME: [], FREE: []}
    for image, rounds in by_image(adaptive):
        theirs = others.get(image.number, [])
        n = min(len(rounds), len(theirs))
        if not n:
            continue
        part = read_mask(
            parts / PurePosixPath(image.path).with_suffix(".png"), size=(image.height, image.width)
        )
        cut = [_until(each, own.round.duration_ms) for each, own in zip(theirs[:n], rounds)]
        for name, own in ((ADAPTIVE, rounds[:n]), (SAME_TIME, cut), (FREE, theirs[:n])):
            found[name].append(_measure(image, own, part, reach=reach, blur=blur))
    if not found[ADAPTIVE]:
        raise ValueError("no image was painted both with and without a partner; play more")
    return Ways({name: np.array(values).T for name, values in found.items()})


def separate(players: Mapping[str, Player], manners: Mapping[str, Manner]) -> Table:
    """How well each manner is told from the others, a row each."""
    table: Table = {}
    for manner in dict.fromkeys(manners.values()):
        own = [each for id, each in players.items() if manners[id] == manner]
        row: Row = {"players": len(own)}
        row["suspicion"] = float(np.mean([each.suspicion for each in own]))
        row["named"] = float(np.mean([each.suspicion > SUSPICIOUS for each in own]))
        if manner not in HONEST:
            row["AUC"] = _curve(players, manners, manner, HONEST, "suspicion")
        elif manner == "colourist":
            row["AUC"] = _curve(players, manners, manner, ("painter",), "colouring")
        table[manner] = row
    return table


def tabulate_agreement(agreed: Mapping[str, Agreed]) -> Table:
    """A row for each choice of players."""
    table: Table = {}
    for name, each in agreed.items():
        row: Row = {"images": each.images, "players of an image": each.players}
        row |= {"two players": each.pair} | ({} if each.null is None else {"null": each.null})
        table[name] = row | {"mean map": each.whole, "ceiling": each.ceiling}
    return table


def tabulate_growth(agreed: Agreed) -> Table:
    """A row for each size of the groups."""
    return {
        f"{each.players}": {"measured": each.rho, "predicted": each.predicted}
        for each in agreed.growth
    }


def tabulate_teacher(report: Mapping[str, Any]) -> Table:
    """Of `teach_from_play`'s report."""
    scores = report["val"]
    table: Table = {
        name: {key: scores[name][key] for key in ("cc", "nss", "auc")}
        for name in ("teacher", "centre_prior")
    }
    if "split_half" in scores:
        table["half of the players"] = {"cc": scores["split_half"]["cc"]}
        table["all, extrapolated"] = {"cc": scores["split_half"]["cc_all_observers"]}
    return table


def tell(tables: Mapping[str, Table], kept: Agreed, report: Mapping[str, Any]) -> list[str]:
    """What came out, in sentences."""
    null = float("nan") if kept.null is None else kept.null.mean
    first, last = kept.growth[0], kept.growth[-1]
    ways, gap = tables["ways"], report["cc_above_prior"]
    areas = {name: _mean(row, MEASURES[2]) for name, row in ways.items()}
    p = {name: row.get(f"p, {MEASURES[2]}") for name, row in ways.items()}
    told = {manner: row["AUC"] for manner, row in tables["quality"].items() if "AUC" in row}
    return [
        f"Two players of an image agree with ρ = {kept.pair.mean:.2f}, players of two images with "
        f"{null:.2f}.",
        f"Mean maps of {last.players} players agree with {last.rho.mean:.2f}, of one with "
        f"{first.rho.mean:.2f}; single players predict {last.predicted:.2f}.",
        f"Half of the map of who stops when the partner knows lies on {areas[ADAPTIVE]:.1%} of the "
        f"image; of who goes on, for as long, on {areas[SAME_TIME]:.1%} (p {p[SAME_TIME]:.2g}), to "
        f"the end on {areas[FREE]:.1%} (p {p[FREE]:.2g}).",
        "Told from the others, area under the curve: "
        + ", ".join(f"{manner} {value:.2f}" for manner, value in told.items())
        + ".",
        f"A teacher of what was painted is above the centre prior by {gap['mean']:.2f} in CC "
        f"(p {gap.get('p', 1):.2g}).",
    ]


def _curve(
    players: Mapping[str, Player],
    manners: Mapping[str, Manner],
    manner: Manner,
    others: Sequence[Manner],
    key: str,
) -> float:
    some = [(each, manners[id] == manner) for id, each in players.items()]
    some = [(each, own) for each, own in some if own or manners[each.id] in others]
    scores = [each.suspicion if key == "suspicion" else each.values[key] for each, _ in some]
    return area_under_curve([each or 0.0 for each in scores], [own for _, own in some])


def _until(played: Played, end_ms: float) -> Played:
    """A round as if it had ended then; its first place is left in any case."""
    points = played.points
    n = max(1, int(np.searchsorted(points.t, end_ms, side="right")))
    return played._replace(points=points._replace(t=points.t[:n], xy=points.xy[:n]))


def _measure(
    image: Image,
    rounds: Sequence[Played],
    part: Bool[np.ndarray, "h w"],
    *,
    reach: int,
    blur: Blur,
) -> list[float]:
    size = (image.height, image.width)
    cells = [each.points.cells for each in rounds]
    areas = [bubbled(each, size=size, reach=reach).mean() for each in cells]
    on_part = [part[each[:, 0], each[:, 1]].mean() for each in cells]
    who = np.repeat(np.arange(len(cells)), [len(each) for each in cells])
    map = blurred(mean_map(np.concatenate(cells), who, size=size, count="binary"), blur)
    return [float(np.mean(areas)), float(np.mean(on_part)), half_area(map)]


def _mean(row: Row, key: str) -> float:
    value = row[key]
    return value.mean if hasattr(value, "mean") else float("nan")
