"""The pipeline files, and the parameter files that each may be run with."""

from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PIPELINES = [ROOT / "dvc.yaml", *sorted(ROOT.glob("stages/*/dvc.yaml"))]
FILES = sorted((ROOT / "params").glob("*.yaml"))  # of the root and of studies of its data


def params_files_of(pipeline: Path) -> list[Path]:
    """Those beside a study that has its own, else those of the root."""
    own = sorted({*pipeline.parent.glob("*.yaml")} - {pipeline})
    return own if pipeline.parent != ROOT and own else FILES


@cache
def bodies_of(pipeline: Path) -> dict[str, dict[str, Any]]:
    """A stage's body by its name, as the file has them."""
    return YAML(typ="safe").load(pipeline)["stages"]
