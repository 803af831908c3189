"""The report of a study: one page, of who took part, what they did, and how far they agree."""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnlabels.clickmaps.blurring import Blur
from attnlabels.collecting.settings import Task
from attnlabels.gathered.agreement import Agreed, agree
from attnlabels.gathered.choosing import Chosen, RoundRules, choose
from attnlabels.gathered.figures import (
    as_png,
    draw_agreement,
    draw_rounds,
    picture_of,
    picture_of_map,
    picture_of_way,
)
from attnlabels.gathered.originals import Originals
from attnlabels.gathered.painted import by_image
from attnlabels.gathered.points import points_of
from attnlabels.gathered.quality import RULE, SUSPICIOUS, Player, measure_players
from attnlabels.gathered.study import Study, read_study
from attnlabels.images.decoding import decode
from attnlabels.images.overlays import spread
from attnlabels.pipeline.places import require_ours, settle
from attnlabels.reporting.tables import Cell, Row, Table, print_tables
from attnlabels.studies.page import Drawn, Page, Picture, Pictures, write_page

COLUMNS = 8  # of pictures
SHOWN = 6  # players who look wrong, whose rounds are shown
DIGITS = 2  # behind the point, in tables
LETTERS = 6  # of a player's id
MEASURES = {  # of the table of players, by what quality calls them
    "won": "won",
    "agreement": "agreement",
    "null": "of other images",
    "consistency": "with oneself",
    "centre": "with the centre",
    "time_variation": "variation of times",
    "length_variation": "variation of steps",
    "straightness": "straightness",
    "coverage": "share uncovered",
    "colouring": "times the others'",
    "too_fast": "too fast",
    "catch": "catch rounds right",
}
TEXTS = {
    "agreement": (
        "How far players agree",
        "Spearman's ρ of blurred maps ({blur}), mean over images ± standard error: of two players "
        "of an image; of players of two images, which is the null; the reliability of the mean map "
        "of all players of an image, from its halves; and the ceiling: what a map of all that "
        "players share would correlate with that mean map. `left out` are the players who look "
        "wrong.",
    ),
    "suspicious": (
        "Who looks wrong, and why",
        "Players whose suspicion, from 0 to 1, is above {suspicion:g}. It is a reason to look at "
        "their rounds (below) and no verdict: a rule of measures with parameters, set on simulated "
        "players.",
    ),
    "rounds": ("Rounds", "Finished rounds by their kind and outcome; times are medians."),
    "players": (
        "Players",
        "`won`: share of rounds in which the partner named the class. `agreement`: with the mean "
        "map of the others, and with those of other images; `with oneself`: on images played "
        "twice; with a Gaussian at the centre. Variation is the distance of the quartiles over the "
        "median, of a program 0 in both. `times the others'`: area uncovered over their median.",
    ),
}


class Told(NamedTuple):
    """What the page tells of."""

    study: Study
    all: Chosen
    kept: Chosen  # without who looks wrong
    players: dict[str, Player]
    agreed: dict[Task, Agreed]
    agreed_kept: dict[Task, Agreed]
    suspicion: float
    blur: Blur

    @property
    def suspicious(self) -> list[str]:
        """Players by id, the most suspicious first."""
        found = [id for id, each in self.players.items() if each.suspicion > self.suspicion]
        return sorted(found, key=lambda id: -self.players[id].suspicion)

    def name(self, id: str) -> str:
        """How a player is called: by number and the first letters of the id."""
        return f"{self.study.numbers[id] + 1} ({id[:LETTERS]})"


def report_study(
    study: Path,
    out: Path,
    *,
    images: Path,
    suspicion: float = SUSPICIOUS,
    blur: Blur = "box_49",
) -> list[str]:
    """Write the page `out`, and return what it finds, in sentences.

    `images` is the folder of the study's images. Players above the `suspicion` are told of, and
    what leaving them out changes. Raises ValueError or OSError as `export_study` does, and
    FileExistsError where `out` is there and no page of ours.
    """
    settle(out)
    require_ours(out, is_page)
    told = tell(read_study(study), suspicion=suspicion, blur=blur)
    originals = Originals(images)
    originals.verify(image for image, _ in by_image(told.all.rounds))
    finding = find(told)
    write_page(
        out,
        Page(
            title=f"What {len(told.all.players)} people {_done(told)}: {study.resolve().name}",
            finding=finding,
            tables=[*print_tables(tables_of(told), texts=_texts(told), digits=DIGITS)],
            pictures=[*show_maps(told, originals), *show_ways(told, originals)],
            notes=[*told.all.told(), *notes_of(told)],
            made_by={"attnlabels": version("attnlabels")},
            figures=figures_of(told),
        ),
    )
    return finding


def is_page(data: bytes) -> bool:
    """Whether a file is a page that was written here."""
    return data[:15].lower() == b"<!doctype html>" and b"attnlabels" in data


def tell(study: Study, *, suspicion: float, blur: Blur) -> Told:
    """What there is to tell of a study."""
    players = measure_players(study)
    bad = [id for id, each in players.items() if each.suspicion > suspicion]
    everyone = choose(study)
    good = {*everyone.players} - {*bad}
    kept = choose(study, RoundRules(without=bad)) if good else everyone
    agreed = agree(everyone, blur=blur)
    again = agree(kept, blur=blur) if good and bad else agreed
    return Told(study, everyone, kept, players, agreed, again, suspicion, blur)


def find(told: Told) -> list[str]:
    """What was found, in sentences."""
    study, rounds = told.study, told.all.rounds
    days = sorted({each.finished[:10] for each in study.rounds})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    won = np.mean([each.round.outcome == "recognised" for each in rounds])
    seconds = np.median([each.round.duration_ms for each in rounds]) / 1000
    sentences = [
        f"{len(told.all.players)} of {len(study.participants)} participants finished "
        f"{len(rounds)} rounds that count, of {len(by_image(rounds))} images ({when}); "
        f"{study.unfinished} rounds were handed out and never came back.",
        f"A round lasted {seconds:.1f} s (median)"
        + (f"; the partner named the class in {won:.0%}." if won else "."),
    ]
    for task, agreed in told.agreed.items():
        null = "" if agreed.null is None else f", of two images {agreed.null.mean:.2f}"
        sentences.append(
            f"Two players of an image agree with ρ = {agreed.pair.mean:.2f}{null} ({task}); the "
            f"mean map of {agreed.players:.1f} players has a reliability of "
            f"{agreed.whole.mean:.2f}, and {agreed.ceiling.mean:.2f} is the ceiling of any map."
        )
    if not told.agreed:
        sentences.append("No image has two players yet, so how far they agree is not known.")
    return [*sentences, _suspects(told)]


def tables_of(told: Told) -> dict[str, Table]:
    """The tables by their key in TEXTS; empty ones are left out."""
    tables: dict[str, Table] = {
        "agreement": _agreement_table(told),
        "suspicious": {
            told.name(id): {"suspicion, and why": _why(told.players[id])} for id in told.suspicious
        },
        "rounds": _rounds_table(told.study),
        "players": {told.name(id): _player_row(each) for id, each in told.players.items()},
    }
    return {key: table for key, table in tables.items() if table}


def figures_of(told: Told) -> list[Drawn]:
    """The figures, each with what it shows."""
    drawn = [
        Drawn(
            "How long rounds last, and how often images were played",
            "Rounds of play and repeats, skipped ones among them; plays without those.",
            as_png(draw_rounds(told.study)),
        )
    ]
    for task, agreed in told.agreed_kept.items():
        figure = draw_agreement(agreed, told.players, suspicious=told.suspicious)
        caption = (
            "Left: the more players two mean maps are of, the better they agree, without who looks "
            "wrong. Right: a dot a player; on the dotted line their maps fit an image no better "
            "than any other."
        )
        drawn.append(Drawn(f"Agreement ({task})", caption, as_png(figure)))
    return drawn


def show_maps(told: Told, originals: Originals) -> list[Pictures]:
    """Images, and where players pointed in them; with all, and without who looks wrong."""
    some = by_image(told.all.rounds)
    some = [some[i] for i in spread(len(some), COLUMNS)]
    kept = {image.number: rounds for image, rounds in by_image(told.kept.rounds)}
    images, of_all, of_kept = [], list[Picture](), list[Picture]()
    for image, rounds in some:
        pixels = decode(originals.read(image), name=image.path)
        images.append(picture_of(pixels))
        of_all.append(picture_of_map(pixels, rounds, blur_by=told.blur))
        left = kept.get(image.number, [])
        of_kept.append(picture_of_map(pixels, left, blur_by=told.blur))
    rows = [("image", images), ("all players", of_all)]
    if told.suspicious:
        rows.append(("without who looks wrong", of_kept))
    caption = f"Mean of the players' maps, blurred by {told.blur}, over images from all of them."
    return [Pictures("Where players pointed", caption, rows)]


def show_ways(told: Told, originals: Originals) -> list[Pictures]:
    """The first rounds of who looks wrong, below those of the least suspicious player."""
    if not told.suspicious:
        return []
    best = min(told.players, key=lambda id: (told.players[id].suspicion, -told.players[id].rounds))
    rows = []
    for id in [best, *told.suspicious[:SHOWN]]:
        own = [each for each in told.study.rounds if each.participant == id]
        own = [each for each in own if each.kind == "play" and len(points_of(each).t)]
        pictures = []
        for each in own[:COLUMNS]:
            pixels = decode(originals.read(each.image), name=each.image.path)
            pictures.append(picture_of_way(pixels, points_of(each), each.image))
        rows.append((told.name(id), pictures))
    caption = (
        "Their first rounds, the most suspicious first, below those of a player who raises the "
        "least suspicion; a disc is where a way begins."
    )
    return [Pictures("How who looks wrong played", caption, [row for row in rows if row[1]])]


def notes_of(told: Told) -> list[str]:
    """How the numbers were made."""
    signs = "; ".join(
        f"{name} from {sign.fine:g} (fine) to {sign.bad:g} (bad), weight {sign.weight:g}"
        for name, sign in RULE.items()
    )
    return [
        f"Maps: places that count, blurred by {told.blur}, of images stretched to a square.",
        "Suspicion is 1 minus the product over signs of 1 minus weight times evidence, which goes "
        f"from 0 at what is fine to 1 at what is bad: {signs}.",
        "A participant is a random number: nothing here tells who they are.",
    ]


def _done(told: Told) -> str:
    words: dict[Task, str] = {"paint": "painted", "peek": "peeked at", "look": "looked at"}
    return " and ".join(
        words[task] for task in dict.fromkeys(r.round.task for r in told.all.rounds)
    )


def _suspects(told: Told) -> str:
    bad = told.suspicious
    if not bad:
        return f"Nobody looks wrong (suspicion above {told.suspicion:g})."
    if {*told.all.players} <= {*bad}:
        return f"All {len(bad)} players look wrong, so nobody is left out below."
    changes = [
        f"two players then agree with {told.agreed_kept[task].pair.mean:.2f}, for "
        f"{agreed.pair.mean:.2f}"
        for task, agreed in told.agreed.items()
        if task in told.agreed_kept
    ]
    left = len(told.kept.rounds)
    return (
        f"{len(bad)} of {len(told.players)} players look wrong. Without them {left} of "
        f"{len(told.all.rounds)} rounds are left" + "".join(f"; {each}" for each in changes) + "."
    )


def _why(player: Player) -> str:
    return f"{player.suspicion:.2f}: {'; '.join(player.reasons) or 'several weak signs'}"


def _agreement_table(told: Told) -> Table:
    table: Table = {}
    pairs: Sequence[tuple[str, dict[Task, Agreed]]] = [("", told.agreed)]
    if told.suspicious:
        pairs = [("", told.agreed), (", left out", told.agreed_kept)]
    for what, agreed in pairs:
        for task, each in agreed.items():
            row: Row = {"images": each.images, "players of an image": each.players}
            row |= {"two players": each.pair}
            row |= {} if each.null is None else {"two images": each.null}
            table[f"{task}{what}"] = row | {"mean map": each.whole, "ceiling": each.ceiling}
    return table


def _rounds_table(study: Study) -> Table:
    table: Table = {}
    outcomes = Counter((each.kind, each.outcome or "none") for each in study.rounds)
    for kind in dict.fromkeys(each.kind for each in study.rounds):
        own = [each for each in study.rounds if each.kind == kind]
        row: Row = {"rounds": len(own)}
        row |= {outcome: n for (of, outcome), n in sorted(outcomes.items()) if of == kind}
        row["seconds"] = float(np.median([each.duration_ms for each in own])) / 1000
        row["page hidden"] = sum(each.hidden > 0 for each in own)
        row["doubtful"] = sum(bool(each.checks) for each in own)
        table[kind] = row
    return table


def _player_row(player: Player) -> Row:
    told: dict[str, Cell] = {"rounds": player.rounds, "suspicion": player.suspicion}
    for key, label in MEASURES.items():
        value = player.values[key]
        if value is not None:
            told[label] = round(value, DIGITS)
    return told


def _texts(told: Told) -> dict[str, tuple[str, str]]:
    words = {"blur": told.blur, "suspicion": told.suspicion}
    return {key: (title, caption.format(**words)) for key, (title, caption) in TEXTS.items()}
