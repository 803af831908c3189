"""What who takes part has to say: a language, and in a lab's network a code."""

import re

from attnlabels.serving.rates import Rates
from attnlabels.serving.refusals import Refused
from attnlabels.serving.tokens import same

LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,3}")


def require_language(given: object) -> str:
    """The tag of a language; raises Refused for anything else."""
    if not isinstance(given, str) or not LANGUAGE.fullmatch(given):
        raise Refused(400, "language: expected a tag such as en or fr-CA")
    return given


class JoinCode:
    """Compares codes; who gave several wrong ones waits."""

    def __init__(self, code: str | None) -> None:
        self.code = code
        self.wrong = Rates(per_s=0.2, burst=10.0)

    @property
    def asked(self) -> bool:
        return bool(self.code)

    def require(self, given: object, *, address: str) -> None:
        """Raise Refused unless `given` is the code, or none is asked for."""
        if not self.code or (isinstance(given, str) and same(given.strip(), self.code)):
            return
        if wait := self.wrong.take(address):
            raise Refused(429, "too many wrong codes; wait a little", retry_s=wait)
        raise Refused(403, "wrong code")
