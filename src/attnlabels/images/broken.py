"""Images that cannot be used: stop at the first, or leave each out and go on."""

import logging
from typing import Literal

log = logging.getLogger(__name__)
Broken = Literal["stop", "skip"]


def note_left_out(skipped: list[str], name: str, why: str) -> None:
    """Add an image to those that were left out, and say so in the log."""
    log.info("left out: %s", why)
    skipped.append(name)
