"""Images that get no label: stop at the first, or leave each out and go on."""

from attnlabels.images.broken import Broken, note_left_out


class Unlabelled(ValueError):
    """An image that gets no label: its file is broken, or the teacher sees nothing in it."""


def leave_out(skipped: list[str], name: str, why: str, *, broken: Broken) -> None:
    """Note an image that gets no label, or stop at it, as `broken` says."""
    if broken == "stop":
        raise Unlabelled(why)
    note_left_out(skipped, name, why)
