"""Typed, strict loading of the project's parameters (`params.yaml`)."""

import copy
import json
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pydantic
from pydantic.dataclasses import dataclass
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from typing_extensions import dataclass_transform

PARAMS = Path("params.yaml")

Record = TypeVar("Record")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[Record]) -> type[Record]:
    """Make `cls` a frozen, keyword-only record whose fields are all checked when it is built."""
    config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return dataclass(frozen=True, kw_only=True, config=config)(cls)  # type: ignore[return-value]


def read(path: Path = PARAMS) -> dict[str, Any]:
    """The whole parameter file, as DVC reads it: YAML 1.2, doubled keys refused."""
    return copy.deepcopy(_tree(path))


def _tree(path: Path) -> dict[str, Any]:
    """`read`, not to be changed: it is everybody's."""
    if not path.is_file():
        here = "run from the project's root" if path == PARAMS else "name one that is there"
        raise FileNotFoundError(f"{path}: no parameter file here; {here}")
    try:
        tree = _parsed(path.read_bytes())
    except YAMLError as error:
        said = " ".join(str(error).replace("<byte string>", str(path)).split())
        raise ValueError(f"{path} is not valid YAML: {said}") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{path} holds {type(tree).__name__}, expected sections of parameters")
    return tree


@lru_cache(maxsize=4)  # by the text: a stage takes several sections of one file
def _parsed(text: bytes) -> Any:
    return YAML(typ="safe").load(text)


def load(kind: type[Record], *keys: str, path: Path = PARAMS) -> Record:
    """The section of the parameter file at `keys`, checked against the record `kind`.

    Raises ValueError that names the key's full path if one is missing, unknown, mistyped or
    out of range.
    """
    node: Any = _tree(path)
    for depth, key in enumerate(keys):
        if not isinstance(node, dict) or key not in node:
            names = ", ".join(map(str, node)) if isinstance(node, dict) else "none"
            raise ValueError(
                f"{path}: no section {'.'.join(keys[: depth + 1])!r}; expected one of: {names}"
            )
        node = node[key]
    return check(kind, node, where=f"{path}: {'.'.join(keys)}")


def part(kind: type[Record], section: Any) -> Record:
    """The dataclass `kind` of what a section says under its fields' names; it may say more."""
    names = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in vars(section).items() if key in names})


def check(kind: type[Record], node: Any, *, where: str) -> Record:
    """`node`, as read from YAML, as the record `kind`; `where` begins what an error says."""
    try:
        text = json.dumps(node)  # of JSON, strict typing takes a list for a tuple
    except TypeError as error:  # YAML has dates and sets too
        raise ValueError(f"{where}: {error}; quote it if it is meant as text") from None
    try:
        return pydantic.TypeAdapter(kind).validate_json(text)
    except pydantic.ValidationError as error:
        raise ValueError("; ".join(_fault(where, item) for item in error.errors())) from None


def _fault(where: str, item: Any) -> str:
    path = ".".join([where, *map(str, item["loc"])])
    match item["type"]:
        case "missing":
            return f"{path} is missing; add it"
        case "unexpected_keyword_argument":
            return f"{path} is unknown; remove it or mend its spelling"
    return f"{path}: {item['msg']} (got {item['input']!r})"
