"""Who of a study's players plays well, and who seems lazy, careless or a program.

Each player's rounds have measures (`attnlabels.clickmaps.playing`), and a rule turns these into a
suspicion from 0 to 1: between what is fine and what is bad a measure makes evidence e from 0 to 1,
of which the weight w says how far it convinces alone, and

    suspicion = 1 - (1 - w_1 e_1) (1 - w_2 e_2) ...

so that one strong sign suffices and several weak ones add up. What is not told makes none. The
default rule was set on simulated players (`stages/collect`), with people's margins: it names who is
worth looking at, and excludes nobody by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from attnlabels.clickmaps import playing
from attnlabels.clickmaps.blurring import Blur, bubbled
from attnlabels.gathered.points import Points, map_of, on_square, points_of
from attnlabels.gathered.study import Round, Study
from attnlabels.recordings.density import centre_prior

SIDE = 32  # of the maps that are compared, of any image
STRANGERS = 3  # other images whose maps a map is compared with, for the null
FEWEST_CATCH = 3  # catch rounds, of which carelessness is told
SUSPICIOUS = 0.5


class Sign(NamedTuple):
    """A measure as evidence: none up to `fine`, all from `bad` on, in whichever direction."""

    fine: float
    bad: float
    weight: float
    meaning: str

    def evidence(self, value: float | None) -> float:
        """From 0 to 1."""
        if value is None:
            return 0.0
        return float(np.clip((value - self.fine) / (self.bad - self.fine), 0, 1))


Rule = Mapping[str, Sign]
RULE: Rule = MappingProxyType(
    {
        "specific": Sign(0.15, 0.02, 0.7, "maps fit the image no better than any other"),
        "centred": Sign(0.1, 0.3, 0.5, "paints the middle, where others do not"),
        "variation": Sign(0.10, 0.03, 0.6, "moves in equal steps at equal times"),
        "consistency": Sign(0.3, 0.0, 0.3, "paints an image unlike the first time"),
        "too_fast": Sign(0.1, 0.5, 0.5, "rounds end too soon"),
        "careless": Sign(0.2, 0.6, 0.6, "fails plain images"),
        "colouring": Sign(1.6, 3.0, 0.3, "colours in"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """How players are measured."""

    blur: Blur = "box_49"
    fastest_ms: float = 300.0  # a round that is shorter is too fast
    seed: int = 0


class Player(NamedTuple):
    """A player's measures by name, None where not told, and what the rule makes of them."""

    id: str
    rounds: int
    values: dict[str, float | None]
    suspicion: float
    reasons: list[str]  # what the signs with at least half of their evidence mean


class Drawn(NamedTuple):
    """A round with what is measured of it."""

    round: Round
    points: Points
    map: Float32[np.ndarray, "s s"]
    area: float  # that it uncovers, as a share of the image

    @property
    def key(self) -> tuple[str, int]:
        """The task and the image, within which maps compare."""
        return self.round.task, self.round.image.number


def measure_players(
    study: Study, measuring: Measuring = Measuring(), rule: Rule = RULE
) -> dict[str, Player]:
    """The players who finished a round of play, by id; see `attnlabels.clickmaps.playing`."""
    drawn = [each for played in study.rounds if (each := _draw(played, study, measuring))]
    totals = _totals([*_first(drawn).values()])
    by_player: dict[str, list[Drawn]] = {}
    for each in drawn:
        by_player.setdefault(each.round.participant, []).append(each)
    rng = np.random.default_rng(measuring.seed)
    found = {}
    for id in study.participants:
        rounds = [each for each in study.rounds if each.participant == id]
        own = by_player.get(id, [])
        values = _values(rounds, own, totals, rng, fastest_ms=measuring.fastest_ms)
        if any(each.kind != "practice" for each in rounds):
            played = sum(each.kind in ("play", "repeat") for each in rounds)
            found[id] = Player(id, played, values, *judge(values, rule))
    return found


def judge(values: Mapping[str, float | None], rule: Rule = RULE) -> tuple[float, list[str]]:
    """The suspicion that a player's measures raise, and the reasons."""
    evidence = {name: sign.evidence(values.get(name)) for name, sign in rule.items()}
    clear = np.prod([1 - sign.weight * evidence[name] for name, sign in rule.items()])
    reasons = [sign.meaning for name, sign in rule.items() if evidence[name] >= 0.5]
    return float(1 - clear), reasons


class _Total(NamedTuple):
    """Of an image in a task: the sum of all players' maps, and each one's and their areas."""

    sum: Float32[np.ndarray, "s s"]
    maps: dict[str, Float32[np.ndarray, "s s"]]
    areas: dict[str, float]

    def without(self, player: str) -> Float32[np.ndarray, "s s"] | None:
        """The mean map of the others."""
        others = len(self.maps) - (player in self.maps)
        if not others:
            return None
        return (self.sum - self.maps.get(player, np.float32(0))) / np.float32(others)

    def area_without(self, player: str) -> float:
        """The others' median; 0 without others."""
        others = [area for who, area in self.areas.items() if who != player]
        return float(np.median(others)) if others else 0.0


def _draw(played: Round, study: Study, measuring: Measuring) -> Drawn | None:
    """None of what has no map: practice, and rounds without a place."""
    points = points_of(played)
    if played.kind == "practice" or not len(points.t):
        return None
    places = on_square(points, played.image, side=SIDE)
    map = map_of(places, side=SIDE, count="binary", blur_by=measuring.blur)
    size = (played.image.height, played.image.width)
    seen = bubbled(points.cells, size=size, reach=study.reach)
    return Drawn(played, points, map, float(seen.mean()))


def _first(drawn: Sequence[Drawn]) -> dict[tuple[str, tuple[str, int]], Drawn]:
    """Each player's first round of each image, those of catch images too."""
    found: dict[tuple[str, tuple[str, int]], Drawn] = {}
    for each in drawn:
        found.setdefault((each.round.participant, each.key), each)
    return found


def _totals(drawn: Sequence[Drawn]) -> dict[tuple[str, int], _Total]:
    totals: dict[tuple[str, int], _Total] = {}
    for each in drawn:
        total = totals.setdefault(each.key, _Total(np.zeros_like(each.map), {}, {}))
        total.sum[:] += each.map
        total.maps[each.round.participant] = each.map
        total.areas[each.round.participant] = each.area
    return totals


def _values(
    rounds: Sequence[Round],
    drawn: Sequence[Drawn],
    totals: Mapping[tuple[str, int], _Total],
    rng: np.random.Generator,
    *,
    fastest_ms: float,
) -> dict[str, float | None]:
    """A player's measures; `rounds` are all of theirs, `drawn` those with a map."""
    first = [*_first(drawn).values()]
    pairs = [(each, again) for each in first for again in drawn if _repeats(each, again)]
    ways, times = [each.points.xy for each in drawn], [each.points.t for each in drawn]
    pointer = [_pointer(each) for each in drawn]
    played = [each for each in rounds if each.kind in ("play", "repeat")]
    caught = [each for each in rounds if each.kind == "catch" and each.task == "paint"]
    ended = [each for each in played if each.outcome != "skipped"]
    agreed, null = _agreement(first, totals, rng)
    centre = playing.centredness([each.map for each in first], centre_prior(SIDE, SIDE))
    areas = [each.area for each in first]
    theirs = [totals[each.key].area_without(each.round.participant) for each in first]
    return {
        "agreement": agreed,
        "null": null,
        "specific": _difference(agreed, null),
        "centre": centre,
        "centred": _difference(centre, agreed),
        "consistency": playing.consistency([(one.map, other.map) for one, other in pairs]),
        "time_variation": (in_time := playing.time_variation([t for t, _ in pointer])),
        "length_variation": (in_length := playing.length_variation([xy for _, xy in pointer])),
        # a hand may be even in one of them, not in both
        "variation": None if in_time is None or in_length is None else max(in_time, in_length),
        "straightness": playing.straightness(ways),
        "speed": playing.speed(ways, times),
        "coverage": playing.mean(areas),
        "colouring": playing.colouring(areas, theirs),
        "won": playing.mean([each.outcome == "recognised" for each in played]),
        "skipped": playing.mean([each.outcome == "skipped" for each in played]),
        "too_fast": playing.mean([each.duration_ms < fastest_ms for each in ended]),
        "catch": (right := playing.mean([each.outcome == "recognised" for each in caught])),
        "careless": None if right is None or len(caught) < FEWEST_CATCH else 1 - right,
    }


def _repeats(one: Drawn, other: Drawn) -> bool:
    return one is not other and one.key == other.key


def _agreement(
    first: Sequence[Drawn],
    totals: Mapping[tuple[str, int], _Total],
    rng: np.random.Generator,
) -> tuple[float | None, float | None]:
    """A player's agreement with the others on the same images, and on other ones."""
    own, same, strange, other = [], [], [], []
    for each in first:
        who = each.round.participant
        if (theirs := totals[each.key].without(who)) is None:
            continue
        own.append(each.map)
        same.append(theirs)
        keys = [key for key in totals if key != each.key and key[0] == each.key[0]]
        for number in rng.permutation(len(keys))[:STRANGERS]:
            if (map := totals[keys[number]].without(who)) is not None:
                strange.append(each.map)
                other.append(map)
    return playing.agreement(own, same), playing.agreement(strange, other)


def _pointer(drawn: Drawn) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n 2"]]:
    """When and where the pointer was, where it is told; the page bounds the steps of bubbles."""
    samples = drawn.round.samples
    moves = np.array([each == "move" for each in samples.event], bool)
    if moves.sum() > playing.FEWEST_STEPS:
        return samples.t[moves], samples.xy[moves]
    return drawn.points.t, drawn.points.xy


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
