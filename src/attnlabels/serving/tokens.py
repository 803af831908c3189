"""Who is who: cookies that the server signed, the token of its pages, the code to join.

The key is a file of the study, so that what was signed is good after the server began anew.
"""

import hmac
import os
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

KEY = "server.key"
KEY_BYTES = 32


class Signer:
    """Signs and reads the ids of sessions with a secret key."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    @property
    def cookie(self) -> str:
        """The cookie's name; browsers send a cookie to all ports, where other studies may be."""
        return f"attnlabels_{self._digest('cookie')[:8]}"

    @property
    def page(self) -> str:
        """What each page of the study sends with what it posts, and no other page can know."""
        return self._digest("page")

    def sign(self, session: str) -> str:
        return f"{session}.{self._digest('session', session)}"

    def read(self, signed: str) -> str | None:
        """The session that was signed, or None for what this key did not sign."""
        session, _, digest = signed.rpartition(".")
        return session if same(digest, self._digest("session", session)) else None

    def _digest(self, *words: str) -> str:
        return hmac.new(self.key, "\0".join(words).encode(), sha256).hexdigest()


def open_key(folder: Path) -> Signer:
    """The signer of a study's folder; its key is made where there is none, for its owner alone."""
    path = folder / KEY
    with suppress(FileExistsError):
        aside = path.with_name(f".{KEY}.{secrets.token_hex(4)}")
        aside.touch(0o600)
        try:
            aside.write_bytes(secrets.token_bytes(KEY_BYTES))
            os.link(aside, path)  # whole or not at all, and never over another
        finally:
            aside.unlink()
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"{path} has {len(key)} bytes, expected {KEY_BYTES}; remove it: a new one is made, and "
            "who takes part begins anew"
        )
    return Signer(key)


def same(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell how far they are."""
    # a page's JSON may hold halves of a character, which have no bytes of their own
    pair = [each.encode(errors="surrogatepass") for each in (one, other)]
    return hmac.compare_digest(*pair)
