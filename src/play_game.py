"""Let simulated players take part in a study of `attnlabels collect`, over its own protocol.

    python src/play_game.py NAME IMAGES OBJECTS PARTS PARTNER STUDY PLAYERS

NAME is a row of `play_game` in params.yaml. IMAGES has a folder for each class; OBJECTS and PARTS
have masks, of the same names, which the players know and the partner, a classifier of
`train_supervised`, does not. A server is started on this machine for STUDY, and ends with the last
player. PLAYERS (CSV) says of each participant what they are: nobody who judges them may read it.
The same row gives the same rounds again, but for their dates.
"""

from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from ruamel.yaml import YAML

from attnlabels.clickmaps.masks import read_shares
from attnlabels.collecting.folder import make_folder
from attnlabels.collecting.partners import open_partner
from attnlabels.collecting.settings import SETTINGS
from attnlabels.collecting.start import Collection
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, part, read, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_rows
from attnlabels.serving.holding import LOCK
from attnlabels.serving.running import served
from attnlabels.serving.site import UNBOUNDED
from attnlabels.serving.tokens import KEY
from attnlabels.simulated.sessions import Crowd, draw_hands, take_turns
from attnlabels.simulated.strokes import Known, Manner


@record
class PlayGame:
    settings: dict[str, Any]  # of the study, in place of the usual ones
    players: dict[Manner, Annotated[int, Field(ge=0)]]
    part_share: tuple[float, float]
    pace: tuple[float, float]
    adaptive: bool
    seed: Annotated[int, Field(ge=0)]


def main(
    name: str,
    images: Path,
    objects: Path,
    parts: Path,
    partner: Path,
    study: Path,
    players: Path,
) -> None:
    take_threads()
    p = load(PlayGame, "play_game", name)
    rng = np.random.default_rng(p.seed)
    with replacing_folder(study) as folder:
        write_settings(folder, p.settings)
        collection = Collection(
            images,
            folder,
            partner=partial(open_partner, str(partner)),
            limits=UNBOUNDED,
            ids=lambda: rng.bytes(8).hex(),
        )
        with closing(collection), served(collection.application) as address:
            who = take_turns(
                address,
                draw_hands(part(Crowd, p), np.random.default_rng([p.seed, 0])),
                partial(look_at, collection, objects, parts),
                seed=p.seed,
                adaptive=p.adaptive,
            )
        # what the server alone has use for
        for left in (KEY, LOCK):
            (folder / left).unlink(missing_ok=True)
    rows = ({"participant": id, "manner": manner} for id, manner in who.items())
    write_rows(players, rows, columns=["participant", "manner"])


def write_settings(folder: Path, changes: dict[str, Any]) -> None:
    """A new study's settings, with what the row says of them."""
    make_folder(folder, task=None)
    path = folder / SETTINGS
    tree = read(path)
    for key, value in changes.items():
        tree[key] = tree[key] | value if isinstance(value, dict) else value
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(tree, file)


def look_at(collection: Collection, objects: Path, parts: Path, number: int) -> Known:
    """What is on an image."""
    image = collection.study.images[number]
    name = PurePosixPath(image.path).with_suffix(".png")
    size = (image.height, image.width)
    return Known(*(read_shares(folder / name, size=size) for folder in (objects, parts)))


if __name__ == "__main__":
    run(main)
