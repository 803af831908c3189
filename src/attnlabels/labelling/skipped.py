"""Images that get no label: stop at the first, or leave each out and go on."""

import logging
from typing import Literal

log = logging.getLogger(__name__)
Broken = Literal["stop", "skip"]


class Unlabelled(ValueError):
    """An image that gets no label: its file is broken, or the teacher sees nothing in it."""


def leave_out(skipped: list[str], name: str, why: str, *, broken: Broken) -> None:
    """Note an image that gets no label, or stop at it, as `broken` says."""
    if broken == "stop":
        raise Unlabelled(why)
    log.info("left out: %s", why)
    skipped.append(name)
