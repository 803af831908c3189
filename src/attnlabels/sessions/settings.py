"""Settings of an experiment: typed, all of them in the folder of results, and the same to its end.

`settings.yaml` beside this module has the defaults and says what each is.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from pydantic import Field

from attnlabels.pipeline.params import check, read, record
from attnlabels.pipeline.writing import replacing

DEFAULTS = Path(__file__).with_name("settings.yaml")
MIDDLE_ROW = "asdfghjkl"  # from left to right
FIRST = "slkdjfahg"  # of it, which keys are taken: of two S and L, as in the paper's code
Ms = Annotated[float, Field(gt=0, le=60_000)]


@record
class Settings:
    """What a participant's session is like; times in milliseconds."""

    fixation_ms: tuple[Ms, Ms]
    stimulus_ms: Ms
    answer_ms: Annotated[float, Field(ge=0, le=60_000)]
    message_ms: Ms
    keys: list[Annotated[str, Field(pattern="^[a-z0-9]$")]] | None
    keys_go_round: bool
    practice: Annotated[int, Field(ge=0)]
    block: Annotated[int, Field(ge=1)]
    scale: Annotated[float, Field(gt=0, le=20)]
    fullscreen: bool
    late_frames: Annotated[float, Field(ge=0)]
    return_minutes: Annotated[float, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)]

    @property
    def limit_ms(self) -> float:
        """From the onset, the last moment of an answer."""
        return self.stimulus_ms + self.answer_ms


def read_settings(path: Path | None) -> Settings:
    """The defaults, and in their place what the file at `path` says.

    Raises ValueError, naming the file and the key, for what is unknown, mistyped or out of range.
    """
    tree = read(DEFAULTS) | ({} if path is None else read(path))
    settings = check(Settings, tree, where=str(path or DEFAULTS))
    if settings.fixation_ms[0] > settings.fixation_ms[1]:
        raise ValueError(f"{path}: fixation_ms: the first is above the second; exchange them")
    return settings


def write_settings(path: Path, settings: Settings) -> None:
    """All settings as YAML, with the comments of the defaults."""
    values = asdict(settings)
    lines = []
    for line in DEFAULTS.read_text(encoding="utf-8").splitlines():
        key, _, rest = line.partition(":")
        if key in values:  # JSON is YAML too
            line = f"{key}: {json.dumps(values[key])}".ljust(31) + f" #{rest.partition('#')[2]}"
        lines.append(line)
    with replacing(path) as aside:
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")


def require_same(begun: Settings, given: Settings, *, where: Path, what: Path) -> None:
    """Raise ValueError that names what of the settings `given` is not as the results began."""
    then, now = asdict(begun), asdict(given)
    changed = [
        f"{key} {now[key]!r}, begun with {then[key]!r}" for key in then if then[key] != now[key]
    ]
    if changed:
        raise ValueError(
            f"{what}: {'; '.join(changed)}; participants of {where} would not have had the same; "
            "name another folder of results"
        )


def keys_for(settings: Settings, n_classes: int) -> list[str]:
    """A key for each class, from left to right where the settings name none.

    Raises ValueError where the settings name fewer or more, or one twice, and where there are more
    classes than keys in the middle row.
    """
    keys = settings.keys
    if keys is None:
        if n_classes > len(FIRST):
            raise ValueError(f"keys: name {n_classes} keys, one for each class")
        return sorted(FIRST[:n_classes], key=MIDDLE_ROW.index)
    if len({*keys}) != len(keys) or len(keys) != n_classes:
        raise ValueError(
            f"keys: {', '.join(keys)}; expected {n_classes} different ones, one for each class"
        )
    return keys
