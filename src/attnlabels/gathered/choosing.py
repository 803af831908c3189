"""Which rounds of a study count: their kinds, and rules that leave out rounds, players and images.

In the order of ClickMe 2.0's filters where they are the same (STUDIES §A.3), each counted.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from attnlabels.gathered.points import Points, points_of
from attnlabels.gathered.quality import Player, measure_players
from attnlabels.gathered.study import Kind, Round, Study

PASSING = "catch"  # the measure that the rule `catch` asks for


@dataclass(frozen=True, kw_only=True)
class RoundRules:
    """What is asked of rounds; None, and no name, asks nothing."""

    kinds: Sequence[Kind] = ("play", "repeat")
    without: Sequence[str] = ()  # participants, by id
    catch: float | None = None  # least share of a player's catch rounds that are right
    suspicion: float | None = None  # most of a player's (`attnlabels.gathered.quality`)
    pointers: Sequence[str] = ()  # that may be used: mouse, touch, pen
    fastest_ms: float | None = None  # a round that is shorter
    hidden: int | None = None  # a round in which the page was hidden more often
    fewest_points: int = 1  # of a round
    first_only: bool = True  # of a player's rounds of an image
    fewest_players: int = 1  # of an image


class Played(NamedTuple):
    """A round that counts, and its points."""

    round: Round
    points: Points


class Chosen(NamedTuple):
    """What counts of a study, and what does not."""

    study: Study
    rounds: list[Played]
    left_out: dict[str, str]  # the other rounds, by id, and why
    excluded: dict[str, str]  # players, and why
    outside: int  # points of the rounds that count that are outside of their image, and left out

    @property
    def players(self) -> list[str]:
        """Who played the rounds that count, in the order they began."""
        some = {each.round.participant for each in self.rounds}
        return [id for id in self.study.participants if id in some]

    def told(self) -> list[str]:
        """Counts in words."""
        n = len(self.rounds)
        lines = [
            f"{n} of {len(self.study.rounds)} finished rounds count, by {len(self.players)} of "
            f"{len(self.study.participants)} participants"
        ]
        counts = Counter(self.left_out.values()).most_common()
        lines += [f"left out: {count} rounds {why}" for why, count in counts]
        if self.outside:
            lines.append(f"left out: {self.outside} points outside of their image")
        return lines + [f"left out: {who}: {why}" for who, why in self.excluded.items()]


def choose(study: Study, rules: RoundRules = RoundRules()) -> Chosen:
    """The rounds that pass, in their order.

    Skipped rounds never count. Raises ValueError for a participant that there is not, for a rule of
    catch rounds in a study without any, and where no round is left.
    """
    excluded, left_out, kept = _excluded(study, rules), dict[str, str](), list[Played]()
    seen: set[tuple[str, str, int]] = set()
    for each in study.rounds:
        points = points_of(each)
        key = (each.participant, each.task, each.image.number)
        why = "of players left out" if each.participant in excluded else ""
        why = _fault(each, points, rules) or why
        if not why and rules.first_only and key in seen:
            why = "of an image that their player had before"
        if why:
            left_out[each.id] = why
        else:
            seen.add(key)
            kept.append(Played(each, points))
    players = Counter(key_of(each) for each in kept)
    few = {each.round.id for each in kept if players[key_of(each)] < rules.fewest_players}
    left_out |= dict.fromkeys(few, "of images of too few players")
    kept = [each for each in kept if each.round.id not in few]
    if not kept:
        told = ", ".join(f"{n} {why}" for why, n in Counter(left_out.values()).most_common())
        raise ValueError(f"{study.folder}: no round is left ({told}); ask for less")
    return Chosen(study, kept, left_out, excluded, sum(each.points.outside for each in kept))


def key_of(played: Played) -> tuple[str, int]:
    """The task and the image of a round."""
    return played.round.task, played.round.image.number


def _fault(each: Round, points: Points, rules: RoundRules) -> str:
    """Why a round does not count, whoever played it; empty if it may."""
    if each.kind not in rules.kinds:
        return f"of {each.kind}"
    if each.outcome == "skipped":
        return "skipped"
    if rules.pointers and each.shown["pointer"] not in rules.pointers:
        return f"by {each.shown['pointer']}"
    if rules.fastest_ms is not None and each.duration_ms < rules.fastest_ms:
        return f"of less than {rules.fastest_ms:g} ms"
    if rules.hidden is not None and each.hidden > rules.hidden:
        return "with the page hidden"
    if len(points.t) < max(1, rules.fewest_points):
        return "of too few points"
    return ""


def _excluded(study: Study, rules: RoundRules) -> dict[str, str]:
    if strange := [each for each in rules.without if each not in study.participants]:
        raise ValueError(f"{study.folder}: {strange[0]} is no participant; mend the name")
    excluded = dict.fromkeys(rules.without, "by name")
    if rules.catch is None and rules.suspicion is None:
        return excluded
    players = measure_players(study)
    if rules.catch is not None and all(each.values[PASSING] is None for each in players.values()):
        raise ValueError(f"{study.folder}: nobody finished a catch round; leave that rule out")
    for id, each in players.items():
        if why := _doubt(each, rules):
            excluded.setdefault(id, why)
    return excluded


def _doubt(player: Player, rules: RoundRules) -> str:
    score = player.values[PASSING]
    if rules.catch is not None and score is not None and score < rules.catch:
        return f"{score:.2f} of catch rounds right"
    if rules.suspicion is not None and player.suspicion > rules.suspicion:
        return f"suspicion {player.suspicion:.2f} ({', '.join(player.reasons)})"
    return ""
