"""The keys of samples, made of what images are called."""

import hashlib
import re

from attnlabels.shards.shards import KEY


def key_of(stem: str) -> str:
    """An image's key: what it is called, of which webdataset would end a key at the first dot.

    What does not fit into a key is replaced, and a digest of the whole tells such keys apart.
    """
    key = stem.replace("/", "-").replace(".", "_")
    return key if KEY.fullmatch(key) else key_apart(stem)


def key_apart(name: str) -> str:
    """A key that no other name has, whatever it holds."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{re.sub('[^A-Za-z0-9_-]', '_', name)[-60:]}-{digest[:16]}"
