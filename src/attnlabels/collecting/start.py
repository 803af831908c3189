"""Start a study: make its folder or go on with it, and serve its pages."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attnlabels.collecting.folder import (
    DATABASE,
    IMAGES,
    Study,
    changes,
    list_of,
    make_folder,
    open_study,
    read_images,
    write_images,
)
from attnlabels.collecting.game import Game
from attnlabels.collecting.guessing import Guesser, Partner
from attnlabels.collecting.pictures import Pictures
from attnlabels.collecting.settings import CONSENT, SETTINGS, TEXTS, Task, read_settings
from attnlabels.collecting.store import (
    has_participants,
    keep_stamps,
    new_id,
    open_store,
    stamps_of,
    tell,
    told_of,
)
from attnlabels.serving.database import Database, files_of
from attnlabels.serving.holding import LOCK, hold
from attnlabels.serving.joining import JoinCode
from attnlabels.serving.running import Listening, serve_study
from attnlabels.serving.safety import Application, Hosts
from attnlabels.serving.site import Limits, Site, application, static_files
from attnlabels.serving.texts import remove_new
from attnlabels.serving.tokens import open_key

OpenPartner = Callable[[Sequence[str]], Partner]
PAGES = Path(__file__).parent / "pages"
SHARED = Path(__file__).parents[1] / "serving" / "pages"
PAGE = "index.html"
FILES = (SETTINGS, TEXTS, CONSENT, IMAGES, *files_of(DATABASE), LOCK)  # of one nobody played yet
NEW = "restore it, or begin another study"


class Collection:
    """A study that is open: its database, its partner, and the application that serves it.

    To be closed; until then no other server opens it.
    """

    def __init__(
        self,
        images: Path,
        folder: Path,
        *,
        task: Task | None = None,
        partner: OpenPartner | None = None,
        join_code: str | None = None,
        hosts: Hosts | None = None,
        root_path: str = "",
        limits: Limits | None = None,
        ids: Callable[[], str] = new_id,
    ) -> None:
        """Open the study in `folder`, of the images below `images`; make it if it is not there.

        Raises ValueError or OSError, naming what is wrong and where, also for images, settings or a
        partner that people did not take part with. `ids` makes those of participants and rounds.
        """
        self.ends, was_there = ExitStack(), folder.exists()
        is_new = make_folder(folder, task=task)
        self.ends.callback(os.close, hold(folder))
        try:
            self.database = open_store(folder / DATABASE)
            self.ends.callback(self.database.close)
            self.study = _opened(images, folder, self.database)
            opened = partner(self.study.classes) if partner else None
            _settle(self.study, self.database, opened)
        except BaseException:
            self.ends.close()
            if is_new:
                remove_new(folder, FILES, whole=not was_there)
            raise
        self.guesser = Guesser(opened) if opened else None
        if self.guesser:
            self.ends.callback(self.guesser.close)
        self.game = Game(
            self.study,
            self.database,
            Pictures(self.study),
            guesser=self.guesser,
            join=JoinCode(join_code),
            app=version("attnlabels"),
            ids=ids,
        )
        self.application: Application = application(
            _site(self.game, limits or Limits()),
            signer=open_key(folder),
            hosts=hosts or Hosts("127.0.0.1"),
            root_path=root_path,
        )

    def close(self) -> None:
        """End the partner's thread, close the database, and let another server open the study."""
        self.ends.close()


def start(
    images: Path,
    folder: Path,
    *,
    task: Task | None,
    partner: OpenPartner | None,
    at: Listening,
) -> None:
    """Serve the study until it is stopped; see `Collection` for what is refused."""
    serve_study(
        at,
        lambda hosts: Collection(
            images,
            folder,
            task=task,
            partner=partner,
            join_code=at.join_code,
            hosts=hosts,
            root_path=at.root_path,
        ),
        _greeting,
    )


def _site(game: Game, limits: Limits) -> Site:
    return Site(
        pages={"": PAGES / PAGE},
        static=static_files(PAGES, SHARED),
        told={"start.json": game.start},
        actions=game.actions,
        pictures={"images": game.pictures.show},
        limits=limits,
    )


def _greeting(collection: Collection, address: str) -> str:
    study = collection.study
    told = f"{study.folder}: {study.settings.task}, {len(study.images)} images"
    alone = study.settings.task == "paint" and collection.guesser is None
    partner = "; no --partner: people paint until the time is over" if alone else ""
    return f"{told}{partner}\n{address}\nCtrl-C stops the server; nothing is lost by it."


def _opened(images: Path, folder: Path, database: Database) -> Study:
    with database.transaction() as db:
        known = stamps_of(db)
    settings = read_settings(folder / SETTINGS)
    found, stamps = list_of(images, settings.catch, known)
    study = open_study(folder, images, found)
    with database.transaction() as db:
        if has_participants(db):
            listed = folder / IMAGES
            if fault := changes(read_images(listed), found):
                raise ValueError(f"{images} is not as {listed} has it: {fault}; {NEW}")
        else:
            write_images(folder / IMAGES, found)
        if stamps != known:
            keep_stamps(db, stamps)
    return study


def _settle(study: Study, database: Database, partner: Partner | None) -> None:
    """Keep what the study is; raise ValueError where people took part in another."""
    identity = partner.identity if partner else None
    now = {"settings": asdict(study.settings), "partner": identity}
    with database.transaction() as db:
        before = told_of(db)
        if not has_participants(db):
            tell(db, now)
            return
    if before["partner"] != identity:
        raise ValueError(
            f"{study.folder}: people played with another partner "
            f"({_called(before['partner'])}) than {_called(identity)}; {NEW}"
        )
    for name, value in _flat(before["settings"]).items():
        if (found := _flat(now["settings"]).get(name)) != value:
            raise ValueError(
                f"{study.folder / SETTINGS}: {name} is {found!r} and was {value!r} when people "
                f"took part; {NEW}"
            )


def _called(identity: Mapping[str, Any] | None) -> str:
    return "none" if identity is None else str(identity["network"])


def _flat(tree: Any, above: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {above.removesuffix("."): tree}
    return {
        name: value
        for key, each in tree.items()
        for name, value in _flat(each, f"{above}{key}.").items()
    }
