"""Human-attention labels for contrastive learning.

What the command `attnlabels` does, as functions: `from attnlabels import label`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnlabels.contact_sheet import show as show
    from attnlabels.datasets.shard_faults import check as check
    from attnlabels.evaluation import evaluate as evaluate
    from attnlabels.exporting import export as export
    from attnlabels.labelling import label as label
    from attnlabels.own_teacher import train_teacher as train_teacher

MODULES = {
    "check": "attnlabels.datasets.shard_faults",
    "evaluate": "attnlabels.evaluation",
    "export": "attnlabels.exporting",
    "label": "attnlabels.labelling",
    "show": "attnlabels.contact_sheet",
    "train_teacher": "attnlabels.own_teacher",
}


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: the command's --help needs none of what they import.
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(MODULES[name]), name)
