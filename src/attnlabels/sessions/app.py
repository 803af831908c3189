"""The experiment as a site: what its page asks the server, and what the server answers."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from attnlabels.pipeline.params import check
from attnlabels.serving.joining import JoinCode, require_language
from attnlabels.serving.refusals import Refused
from attnlabels.serving.site import (
    Answer,
    Caller,
    Limits,
    Picture,
    Site,
    number_of,
    static_files,
    unchanged,
)
from attnlabels.sessions.store import Store
from attnlabels.sessions.timing import Shown

HERE = Path(__file__).parent
PAGE = HERE / "pages" / "experiment.html"
SHARED = HERE.parent / "serving" / "pages"


class Consent(NamedTuple):
    """What participants agree to, and which text that is."""

    version: str
    text: str  # Markdown


def site_of(
    store: Store, *, texts: dict[str, Any], consent: Consent, code: JoinCode, limits: Limits
) -> Site:
    """The pages, pictures and actions of an experiment's sessions.

    GET  start.json        texts, settings and consent; keys and trials of who has agreed
    GET  pictures/NUMBER   a picture
    POST api/consent       {consent, language, code}: a participant begins, and gets a set
    POST api/handedness    {handedness}
    POST api/trial         one that was shown, as attnlabels.sessions.timing.Shown
    POST api/leave         the next to come is somebody else
    POST api/delete        all that is stored of the participant is removed
    """
    served = _Serving(store, texts, consent, code)
    return Site(
        pages={"": PAGE},
        static=static_files(HERE / "jspsych", HERE / "pages", SHARED),
        told={"start.json": served.start},
        actions={
            "consent": served.consent,
            "handedness": served.handedness,
            "trial": served.trial,
            "leave": served.leave,
            "delete": served.delete,
        },
        pictures={"pictures": served.picture},
        limits=limits,
    )


class _Serving:
    def __init__(
        self, store: Store, texts: dict[str, Any], consent: Consent, code: JoinCode
    ) -> None:
        self.store, self.texts, self.agreed, self.code = store, texts, consent, code

    def start(self, caller: Caller) -> dict[str, Any]:
        settings = asdict(self.store.settings)
        shown = ("stimulus_ms", "answer_ms", "message_ms", "scale", "fullscreen")
        return {
            "texts": self.texts,
            "consent": self.agreed._asdict(),
            "join": self.code.asked,
            "settings": {key: settings[key] for key in shown},
            "session": self._known(caller),
        }

    def _known(self, caller: Caller) -> dict[str, Any] | None:
        """Of whose data are deleted the browser may still have the cookie."""
        if caller.session is None or not self.store.has(caller.session):
            return None
        return self.store.session(caller.session)

    def consent(self, caller: Caller, body: dict[str, Any]) -> Answer:
        # a second tab, or an answer that was lost: who agreed before has a set already
        if caller.session is not None and self.store.has(caller.session):
            return Answer({"participant": caller.session})
        self.code.require(body.get("code"), address=caller.address)
        if body.get("consent") != self.agreed.version:
            raise Refused(409, "The text was changed meanwhile; load the page anew.")
        language = require_language(body.get("language"))
        who = self.store.enrol(
            consent=self.agreed.version, family=caller.browser, language=language
        )
        return Answer({"participant": who}, session=who)

    def handedness(self, caller: Caller, body: dict[str, Any]) -> Answer:
        hand = body.get("handedness")
        self.store.say_handedness(caller.require(), hand if isinstance(hand, str) else "")
        return Answer({"stored": True})

    def trial(self, caller: Caller, body: dict[str, Any]) -> Answer:
        who = caller.require()
        try:
            shown = check(Shown, body, where="trial")
        except ValueError as error:
            raise Refused(400, str(error)) from None
        self.store.keep(who, shown)
        return Answer({"stored": shown.id})

    def leave(self, caller: Caller, body: dict[str, Any]) -> Answer:
        return Answer({"left": True}, session="")

    def delete(self, caller: Caller, body: dict[str, Any]) -> Answer:
        self.store.delete(caller.require())
        return Answer({"deleted": True}, session="")

    def picture(self, caller: Caller, number: str, asked: Any) -> Picture:
        caller.require()
        made = self.store.made
        i = number_of(number, len(made.pictures))
        if i is None:
            raise Refused(404, "no such picture")
        path, digest = made.folder / made.pictures[i], made.digests[i]
        data = unchanged(path, digest, name=f"picture {i}", of="server")
        return Picture(data, "image/png")
