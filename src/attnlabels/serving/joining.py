"""What who takes part has to say: a language, and in a lab's network a code."""

import re

from attnlabels.serving.rates import Rates
from attnlabels.serving.refusals import Refused
from attnlabels.serving.tokens import same

# Wrong codes of an address at once, and again in each hour. A class may have one address, and forty
# people who mistype twice do not come to that many; a program does within seconds.
MOST_WRONG, WITHIN_S = 100, 3600.0
LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,3}")


def require_language(given: object) -> str:
    """The tag of a language; raises Refused for anything else."""
    if not isinstance(given, str) or not LANGUAGE.fullmatch(given):
        raise Refused(400, "language: expected a tag such as en or fr-CA")
    return given


class JoinCode:
    """Compares codes, and counts wrong ones by the address that they come from.

    Of an address that gave ten at once, wrong ones are answered by when to try again (one each five
    seconds), and the right one is taken all the same: others behind the address may give it. This
    slows down a page, and nobody who guesses.

    Of one that gave MOST_WRONG no code is compared, the right one neither, until it has cooled
    down, for one each WITHIN_S / MOST_WRONG seconds. This bounds guessing: an address tries 100
    codes and then 100 an hour, all those of four digits in four days, of six in a year. Several
    addresses are as many times as fast, and a server that begins anew has forgotten all.
    """

    def __init__(self, code: str | None) -> None:
        self.code = code
        self.wrong = Rates(per_s=0.2, burst=10.0)
        self.compared = Rates(per_s=MOST_WRONG / WITHIN_S, burst=float(MOST_WRONG))

    @property
    def asked(self) -> bool:
        return bool(self.code)

    def require(self, given: object, *, address: str) -> None:
        """Raise Refused unless `given` is the code, or none is asked for.

        Whatever it is, it is refused of an address that gave too many wrong ones.
        """
        if not self.code:
            return
        # counted before it is compared: of many at once, no more are compared than may be
        if wait := self.compared.take(address):
            raise Refused(
                429,
                "too many wrong codes came from your network; ask who runs the study for the code, "
                "and try it in a minute",
                retry_s=wait,
            )
        if isinstance(given, str) and same(given.strip(), self.code):
            self.compared.give_back(address)
            return
        if wait := self.wrong.take(address):
            raise Refused(429, "too many wrong codes; wait a little", retry_s=wait)
        raise Refused(403, "wrong code")
