"""Simulated players of ClickMe: what each paints on a scene whose class a part of the object tells.

The model, for an object's mask M and the mask P of its part (each made to sum to 1):

    t_1, t_2, ...  ~  w_k P + (1 - w_k) M      places to which painter k goes, one after the other
    c_1, c_2, ...  on the straight ways between them, a step apart, each off by N(0, s_k)

Painter k has a taste of their own: the share w_k of the part, the unsteadiness s_k and the number
of clicks. So what painters agree on is the part. Not all players are painters:

    lazy       leaves a few clicks at the middle of the picture
    random     clicks anywhere
    bot        goes along straight lines in equal steps, row after row of a grid or one line
    colourist  colours in the whole object, row after row

Catch trials, whose answer is known, tell the lazy, the random and the bot from the others; the
colourist passes them. Some painters play on a telephone, where a finger is twice as unsteady.
Clicks are (x, y), whole, in pixels from 0, in the order they were made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from attnlabels.scenes.observers import Amount, Number, Share, draws
from attnlabels.scenes.parts import PartScene

Manner = Literal["painter", "lazy", "random", "bot", "colourist"]
OTHERS: tuple[Manner, ...] = ("lazy", "random", "bot", "colourist")  # one of each
PASSING, FAILING = (0.955, 1.0), (0.3, 0.9)  # scores of catch trials
LAZY_CLICKS = 3
FINGER = 2.0  # how much less steady a telephone is
Clicks = Int[np.ndarray, "n 2"]


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Who plays; lengths are shares of the image's side, pairs are of what a player draws once."""

    n_players: Annotated[int, Field(gt=len(OTHERS))]
    n_mobile: Annotated[int, Field(ge=0)]  # of the painters
    per_image: tuple[Number, Number]  # players who get an image, drawn uniformly
    part_share: tuple[Share, Share]  # w_k
    unsteadiness: tuple[Amount, Amount]  # s_k
    n_clicks: tuple[Number, Number]
    step: Annotated[float, Field(gt=0)]  # between two clicks
    again: Share  # chance that a player submits an image a second time

    def __post_init__(self) -> None:
        for name in ("per_image", "part_share", "unsteadiness", "n_clicks"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is [{low}, {high}], expected the smaller first")
        if self.per_image[1] > self.n_players:
            raise ValueError(f"per_image ends at {self.per_image[1]}, of {self.n_players} players")
        if self.n_mobile > self.n_players - len(OTHERS):
            raise ValueError(f"n_mobile is {self.n_mobile}, more than there are painters")


@dataclass(frozen=True, kw_only=True)
class Player:
    """One who plays, and what they are like."""

    id: str
    manner: Manner
    part_share: float
    unsteadiness: float
    n_clicks: int
    catch_trial: float  # share of catch trials that were right
    is_mobile: bool


class Painting(NamedTuple):
    """What a player submitted for an image."""

    player: Player
    clicks: Clicks  # (x, y)


def draw_players(rng: np.random.Generator, crowd: Crowd) -> list[Player]:
    """The crowd; the order of its numbers says nothing of a player's manner."""
    painters: list[Manner] = ["painter"] * (crowd.n_players - len(OTHERS))
    manners = [*OTHERS, *painters]
    players = []
    for place, number in enumerate(rng.permutation(crowd.n_players)):
        fails = manners[place] in ("lazy", "random", "bot")
        player = Player(
            id=f"player{number:03d}",
            manner=manners[place],
            part_share=rng.uniform(*crowd.part_share),
            unsteadiness=rng.uniform(*crowd.unsteadiness),
            n_clicks=int(rng.integers(*crowd.n_clicks, endpoint=True)),
            catch_trial=round(rng.uniform(*(FAILING if fails else PASSING)), 3),
            is_mobile=0 <= place - len(OTHERS) < crowd.n_mobile,
        )
        players.append(player)
    return sorted(players, key=lambda each: each.id)


def paint(
    rng: np.random.Generator, scene: PartScene, players: Sequence[Player], crowd: Crowd
) -> list[Painting]:
    """What some of the players submitted for a scene, in the order in which they did."""
    n = int(rng.integers(*crowd.per_image, endpoint=True))
    chosen = [players[k] for k in rng.choice(len(players), n, replace=False)]
    chosen += [each for each in chosen if rng.random() < crowd.again]
    return [Painting(each, clicks_of(rng, scene, each, step=crowd.step)) for each in chosen]


def clicks_of(rng: np.random.Generator, scene: PartScene, player: Player, *, step: float) -> Clicks:
    """The clicks of a player on a scene, at least one; `step` in shares of the side."""
    side = len(scene.mask)
    match player.manner:
        case "painter":
            places = _strokes(rng, scene, player, step=step * side)
            sd = player.unsteadiness * side * (FINGER if player.is_mobile else 1)
            places = places + rng.normal(0, sd, places.shape)
        case "lazy":
            places = side / 2 + rng.normal(0, 1, (LAZY_CLICKS, 2))
        case "random":
            places = rng.uniform(0, side, (player.n_clicks, 2))
        case "bot":
            places = _mechanical(rng, player.n_clicks, side=side)
        case "colourist":
            places = _coloured(scene.mask, step=max(1, round(step * side)))
    return np.floor(places).astype(np.int64).clip(0, side - 1)[:, ::-1]


def _strokes(
    rng: np.random.Generator, scene: PartScene, player: Player, *, step: float
) -> Float[np.ndarray, "n 2"]:
    """Places (row, col) `step` apart on the ways between the places t above."""
    chance = player.part_share * scene.part / scene.part.sum()
    chance = chance + (1 - player.part_share) * scene.mask / scene.mask.sum()
    stops = draws(rng, chance, n=player.n_clicks + 1)
    lengths = np.hypot(*np.diff(stops, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    at = step * np.arange(min(player.n_clicks, int(along[-1] / step) + 1))
    return np.stack([np.interp(at, along, each) for each in stops.T], axis=1)


def _mechanical(rng: np.random.Generator, n: int, *, side: int) -> Float[np.ndarray, "n 2"]:
    """A grid over the picture, row after row, or a straight line; (row, col)."""
    if rng.random() < 0.5:
        rows = int(np.ceil(np.sqrt(n)))
        cells = np.stack(np.divmod(np.arange(n), rows), axis=1)
        return (cells + 0.5) * side / rows
    ends = rng.uniform(0, side, (2, 2))
    return ends[0] + np.linspace(0, 1, n)[:, None] * (ends[1] - ends[0])


def _coloured(mask: Float[np.ndarray, "h w"], *, step: int) -> Float[np.ndarray, "n 2"]:
    """Places (row, col) `step` apart all over the mask, row after row."""
    inside = np.argwhere(mask >= min(0.5, mask.max()))
    on_grid = (inside % step == 0).all(axis=1)
    return (inside[on_grid] if on_grid.any() else inside) + 0.5
