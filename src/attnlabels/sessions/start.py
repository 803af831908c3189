"""Start an experiment: make its folder of results, or go on with it, and serve its page."""

import os
from importlib.metadata import version
from pathlib import Path

from attnlabels.serving.database import files_of
from attnlabels.serving.holding import LOCK, hold
from attnlabels.serving.joining import JoinCode
from attnlabels.serving.running import Listening, serve_study
from attnlabels.serving.safety import Application, Hosts
from attnlabels.serving.site import Limits, application
from attnlabels.serving.texts import read_text, read_texts, remove_new, version_of, write_new
from attnlabels.serving.tokens import open_key
from attnlabels.sessions.app import Consent, site_of
from attnlabels.sessions.made import Made, read_made
from attnlabels.sessions.settings import Settings, read_settings, require_same, write_settings
from attnlabels.sessions.store import DATABASE, Store

SETTINGS, TEXTS, CONSENT = "settings.yaml", "texts.yaml", "consent.md"
FILES = (SETTINGS, TEXTS, CONSENT, *files_of(DATABASE), LOCK)
TEMPLATES = Path(__file__).parent


class Running:
    """An experiment whose results are open, and the application that serves it.

    To be closed; until then no other server opens the results.
    """

    def __init__(
        self,
        experiment: Path,
        results: Path,
        *,
        settings: Path | None = None,
        join_code: str | None = None,
        hosts: Hosts | None = None,
        root_path: str = "",
        limits: Limits | None = None,
    ) -> None:
        """Of the folder that `experiment make` made; `results` is made if it is not there.

        Raises ValueError or OSError, naming what is wrong and where, also for results that began
        with another experiment or other settings.
        """
        made, was_there = read_made(experiment), results.exists()
        is_new = not (results / SETTINGS).exists()
        used = make_results(results, settings)
        texts = read_texts(results / TEXTS, template=TEMPLATES / TEXTS)
        text = read_text(results / CONSENT)
        self.lock = hold(results)
        try:
            self.store = Store(results, made, used, app=version("attnlabels"))
        except BaseException:
            os.close(self.lock)
            if is_new:
                remove_new(results, FILES, whole=not was_there)
            raise
        site = site_of(
            self.store,
            texts=texts,
            consent=Consent(version_of(text), text),
            code=JoinCode(join_code),
            limits=limits or Limits(),
        )
        self.application: Application = application(
            site, signer=open_key(results), hosts=hosts or Hosts("127.0.0.1"), root_path=root_path
        )

    def close(self) -> None:
        """Close the database, and leave the results to others."""
        self.store.database.close()
        os.close(self.lock)


def make_results(folder: Path, given: Path | None) -> Settings:
    """The settings of the results in `folder`; of new ones all files are written.

    Raises ValueError for settings `given` that are not those it began with, and OSError if the
    folder holds something else.
    """
    path = folder / SETTINGS
    if path.exists():
        settings = read_settings(path)
        if given is not None:
            require_same(settings, read_settings(given), where=folder, what=given)
        return settings
    settings = read_settings(given)
    files = {name: (TEMPLATES / name).read_text(encoding="utf-8") for name in (TEXTS, CONSENT)}
    write_new(folder, files, lacks="holds no results")
    write_settings(path, settings)  # the last: a folder that has it has all
    return settings


def start_experiment(
    experiment: Path, results: Path, *, settings: Path | None = None, at: Listening = Listening()
) -> None:
    """Serve an experiment until it is stopped; see `Running` for what is refused."""
    serve_study(
        at,
        lambda hosts: Running(
            experiment,
            results,
            settings=settings,
            join_code=at.join_code,
            hosts=hosts,
            root_path=at.root_path,
        ),
        lambda running, address: _greeting(running, results, address),
    )


def _greeting(running: Running, results: Path, address: str) -> str:
    made, settings = running.store.made, running.store.settings
    there, finished = running.store.counts()
    begun = f", {there} participants so far, {finished} of them to the end" if there else ""
    return "\n".join(
        [
            f"{results}: {_told(made, settings)}{begun}",
            f"{results / CONSENT}, {results / TEXTS}: to edit before people take part; the text is "
            "an example and no ethics approval",
            f"open {address} (Ctrl-C stops it; nothing is lost)",
        ]
    )


def _told(made: Made, settings: Settings) -> str:
    practice = min(settings.practice, len(made.practice))
    hint = "" if practice or not settings.practice else " (`experiment make --practice N`)"
    return (
        f"{made.stimuli['image'].nunique()} trials, {practice} to practise{hint}, "
        f"{len(made.groups)} sets"
    )
