"""A stage's script in a folder of a comparison's own, with that folder's parameters."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from attnlabels.pipeline.params import read

ROOT = Path(__file__).parents[1]


def stage(out: Path, script: str, *words: object) -> None:
    """Run a stage's script in the folder OUT."""
    command = [sys.executable, str(ROOT / "src" / f"{script}.py"), *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run(command, cwd=out, env=environment, check=True)


def keep_params(out: Path, params: Mapping[str, Any]) -> None:
    """Write the parameters of a comparison into its folder; ends where it holds others."""
    path = out / "params.yaml"
    if path.exists() and read(path) != params:
        raise SystemExit(f"{out}: holds a comparison with other parameters; name another folder")
    with path.open("w") as file:
        YAML(typ="safe").dump(params, file)
