"""Simulated players who take part in a study, from consent to the last round, over its protocol."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from attnlabels.scenes.observers import Share
from attnlabels.simulated.client import Client
from attnlabels.simulated.rounds import Game, play
from attnlabels.simulated.strokes import Hand, Known, Manner

Look = Callable[[int], Known]  # what is on an image of the study, by its number


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Who takes part: how many of each manner, and what a player is like, drawn once for each."""

    players: Mapping[Manner, Annotated[int, Field(ge=0)]]
    part_share: tuple[Share, Share]
    pace: tuple[Share, Share]  # of the largest step
    adaptive: bool  # whether they ask the partner and stop as soon as it knows

    def __post_init__(self) -> None:
        for name in ("part_share", "pace"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is [{low}, {high}], expected the smaller first")


def draw_hands(crowd: Crowd, rng: np.random.Generator) -> list[Hand]:
    """The players in a random order, so that when one comes says nothing of their manner."""
    manners = [manner for manner, n in crowd.players.items() for _ in range(n)]
    hands = [
        Hand(
            manner=manner,
            part_share=float(rng.uniform(*crowd.part_share)),
            pace=float(rng.uniform(*crowd.pace)),
        )
        for manner in manners
    ]
    return [hands[i] for i in rng.permutation(len(hands))]


def take_part(
    address: str, hand: Hand, look: Look, rng: np.random.Generator, *, adaptive: bool
) -> str:
    """Play all rounds that one is given; who one was, by id."""
    with Client(address) as client:
        id = client.agree()
        while (given := client.next()) is not None:
            guess = partial(client.guess, given["round"]) if adaptive else None
            played = play(rng, hand, look(given["image"]), game_of(given), guess=guess)
            client.finish(given["round"], played)
    return id


def take_turns(
    address: str, hands: Sequence[Hand], look: Look, *, seed: int, adaptive: bool
) -> dict[str, Manner]:
    """All players, one after the other; the manner of each by id."""
    return {
        take_part(
            address, hand, look, np.random.default_rng([seed, number]), adaptive=adaptive
        ): hand.manner
        for number, hand in enumerate(hands)
    }


def game_of(given: Mapping[str, Any]) -> Game:
    """What a round that was handed out is played by."""
    told = given["settings"]
    task, seconds = given["task"], told["seconds"]
    match task:
        case "paint":
            return Game(
                task=task,
                seconds=seconds,
                step=told["bubble_px"] / 2,
                period_ms=told["period_ms"],
                guess_every=told["guess_every"],
            )
        case "peek":
            return Game(task=task, seconds=seconds, clicks=told["clicks"])
    return Game(task=task, seconds=seconds)
