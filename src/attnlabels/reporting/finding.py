"""The differences between runs and their baselines, as the tables have them, on one scale."""

from collections.abc import Sequence
from typing import Any

from attnlabels.reporting.tables import Printed


def show_differences(tables: Sequence[Printed]) -> dict[str, list[dict[str, Any]]]:
    """By score, each run's difference to its baseline, and where to draw it, in % of a width."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in tables:
        if not each.key.startswith("differences_"):
            continue
        for row in each.rows:
            told = row.cells.get("difference")
            if told is None or told.value is None:  # a run may lack the score
                continue
            error = row.cells["se"].value or 0
            found.setdefault(row.label, []).append(
                {
                    "label": each.title,
                    "text": f"{told.value:+.4f}" + (f" ± {error:.4f}" if error else ""),
                    "p": row.cells["p_holm"].text,
                    "ends": (told.value - error, told.value, told.value + error),
                }
            )
    for bars in found.values():
        low = min(0, *(bar["ends"][0] for bar in bars))
        width = max(0, *(bar["ends"][2] for bar in bars)) - low or 1.0
        for bar in bars:
            places = [round(100 * (value - low) / width, 2) for value in (0, *bar.pop("ends"))]
            bar["zero"], bar["low"], bar["at"], high = places
            bar["width"] = round(high - bar["low"], 2)
    return found
