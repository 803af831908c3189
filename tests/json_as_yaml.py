"""JSON in the place of YAML, which it is: a parser and a writer in C, a fiftieth of the time.

Tests read and write the same small parameters and locks thousands of times, DVC each of them
several times a stage. What does not look like what is written here, is parsed as ever.
"""

import json
from typing import Any, TextIO

from ruamel.yaml import YAML

_load = YAML.load


def load(self: YAML, stream: Any) -> Any:
    """In the place of `YAML.load`."""
    if isinstance(stream, str | bytes) and stream[:2] in ('{"', b'{"'):
        return json.loads(stream)
    return _load(self, stream)


def dump(data: Any, stream: TextIO) -> None:
    """In the place of what DVC writes its locks with."""
    stream.write(json.dumps(data))


def take() -> None:
    """Have this process parse what is JSON by JSON's own parser."""
    YAML.load = load


def take_in_dvc() -> None:
    """Have DVC write it, too."""
    from dvc.utils.serialize import _yaml

    _yaml._dump = dump
