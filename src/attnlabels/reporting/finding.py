"""The finding: runs minus their baselines, in two sentences and a picture, then score by score.

All of it is read from the tables `differences_<run>` of make_tables. An effect is seen where the
interval of the paired difference leaves out zero.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from attnlabels.reporting.legend import show
from attnlabels.reporting.tables import Printed, PrintedCell

SCORES = {  # of the finding, by their rows in the tables
    "imagenet_top1": "probe top-1",
    "imagenet_c_mean": "ImageNet-C top-1",
    "imagenet_c_retained": "share of top-1 kept on ImageNet-C",
    "imagenet_map": "retrieval mAP",
    "eye_cc_as_trained": "CC with eye fixations as trained",
    "eye_cc_refitted": "CC with eye fixations refitted",
}
OF_MANY = ("imagenet_top1", "imagenet_c_mean", "imagenet_map", "eye_cc_refitted")  # of several runs
MOST = 5  # that a sentence names
HIGHER, LOWER, NO_EFFECT, NO_ERROR = "higher", "lower", "no effect seen", "no error"


class Difference(NamedTuple):
    """A run's score minus its baseline's; `interval` is None where there is no error."""

    run: str
    baseline: str
    score: str
    value: float
    se: float | None
    interval: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        if self.interval is None:
            return NO_ERROR
        low, high = self.interval
        if low <= 0 <= high:
            return NO_EFFECT
        return HIGHER if low > 0 else LOWER

    @property
    def kind(self) -> str:
        """What is on one scale: correlations, or shares of images."""
        return "correlation" if "_cc_" in self.score else "share"

    @property
    def text(self) -> str:
        return f"{self.value:+.3f}" + (f" ± {self.se:.3f}" if self.se else "")

    @property
    def ends(self) -> tuple[float, float, float]:
        low, high = self.interval or (self.value, self.value)
        return low, self.value, high


def find_differences(
    tables: Iterable[Printed], baselines: Mapping[str, str]
) -> list[list[Difference]]:
    """For each run that has a baseline, the differences in SCORES that its table has."""
    found = []
    for each in tables:
        run = each.key.removeprefix("differences_")
        if run != each.key and run in baselines:
            rows = {row.key: row.cells for row in each.rows}
            differences = [
                Difference(
                    show(run),
                    show(baselines[run]),
                    key,
                    value,
                    _value(rows[key], "se"),
                    _interval(rows[key]),
                )
                for key in SCORES
                if (value := _value(rows.get(key, {}), "difference")) is not None
            ]
            found.append(differences)
    return [differences for differences in found if differences]


def tell(found: Sequence[Sequence[Difference]], *, level: float) -> list[str]:
    """Two sentences: on all scores of one run, or on the first score of several; none of none.

    `level` is that of the intervals, such as 0.95.
    """
    if len(found) == 1:
        return _tell_scores(found[0], level=level)
    of_all = [each for differences in found for each in differences]
    first = next((key for key in SCORES if any(each.score == key for each in of_all)), None)
    told = [each for each in of_all if each.score == first]
    return _tell_runs(told, level=level) if told else []


def draw(found: Sequence[Sequence[Difference]]) -> dict[str, Any]:
    """What the picture shows: a row of cells a run, by score, and what the scores are called.

    A cell says in % of its width where to draw what. A column is on one scale; for a single run,
    which has a cell in each, so are all scores of a kind.
    """
    alone = len(found) == 1
    shown = [
        each for differences in found for each in differences if alone or each.score in OF_MANY
    ]
    ends: dict[str, list[tuple[float, float, float]]] = {}
    for each in shown:
        ends.setdefault(each.kind if alone else each.score, []).append(each.ends)
    rows: dict[str, dict[str, Any]] = {}
    for each in shown:
        places = place(each.ends, among=ends[each.kind if alone else each.score])
        cells = rows.setdefault(f"{each.run} minus {each.baseline}", {})
        cells[each.score] = {"text": each.text, "verdict": each.verdict, **places}
    there = {each.score for each in shown}
    scores = {key: label for key, label in SCORES.items() if key in there}
    return {"scores": scores, "rows": rows, "alone": alone}


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
        ends = [bar["ends"] for bar in bars]
        for bar in bars:
            bar |= place(bar.pop("ends"), among=ends)
    return found


def place(
    ends: tuple[float, float, float], *, among: Sequence[tuple[float, float, float]]
) -> dict[str, float]:
    """Where zero, a whisker and its middle are, in % of a width that holds all of some and zero."""
    least = min(0, *(low for low, _, _ in among))
    width = max(0, *(high for _, _, high in among)) - least or 1.0
    zero, low, at, high = (round(100 * (value - least) / width, 2) for value in (0, *ends))
    return {"zero": zero, "low": low, "at": at, "width": round(high - low, 2)}


def _value(cells: Mapping[str, PrintedCell], key: str) -> float | None:
    return cells[key].value if key in cells else None


def _interval(cells: Mapping[str, PrintedCell]) -> tuple[float, float] | None:
    low, high = _value(cells, "t_low"), _value(cells, "t_high")
    return None if low is None or high is None else (low, high)


def _tell_scores(found: Sequence[Difference], *, level: float) -> list[str]:
    run, baseline = found[0].run, found[0].baseline
    rose, fell, none, unknown = _sort(found)
    if len(unknown) == len(found):
        higher, lower = _by_sign(found)
        return [
            f"Beside its baseline ({baseline}), {run} is higher in {_scores(higher)} and lower in "
            f"{_scores(lower)}.",
            f"With {_why(unknown)} there is no error: no effect can be told from chance.",
        ]
    parts = []
    if none:
        parts.append(f"no effect is seen in {_scores(none)}, {_hold_zero(none, level)}")
    if unknown:
        parts.append(f"with {_why(unknown)} there is no error of {_scores(unknown)}")
    return [
        f"Beside its baseline ({baseline}), {run} raises {_scores(rose)} and lowers "
        f"{_scores(fell)}.",
        _sentence(parts or ["an effect is seen in each of these scores"]),
    ]


def _tell_runs(found: Sequence[Difference], *, level: float) -> list[str]:
    score = SCORES[found[0].score]
    rose, fell, none, unknown = _sort(found)
    if len(unknown) == len(found):
        return [
            f"Of {len(found)} runs, each beside its baseline, {score} is {_counts(found)}.",
            f"With {_why(unknown)} there is no error: no effect can be told from chance.",
        ]
    first = f"{score} rises in {_runs(rose)} and falls in {_runs(fell)}, each beside its baseline"
    parts = []
    if none:
        parts.append(f"no effect is seen in {_runs(none)}, {_hold_zero(none, level)}")
    if unknown:
        parts.append(
            f"of {len(unknown)} more, with {_why(unknown)} and so no error, it is "
            f"{_counts(unknown)}"
        )
    return [_sentence([first]), _sentence(parts or ["an effect is seen in each of these runs"])]


def _sort(found: Iterable[Difference]) -> list[list[Difference]]:
    """What rose, what fell, what shows no effect, and what has no error."""
    verdicts = (HIGHER, LOWER, NO_EFFECT, NO_ERROR)
    return [[each for each in found if each.verdict == verdict] for verdict in verdicts]


def _by_sign(found: Iterable[Difference]) -> tuple[list[Difference], list[Difference]]:
    return [each for each in found if each.value > 0], [each for each in found if each.value < 0]


def _scores(found: Sequence[Difference]) -> str:
    return _list([f"{SCORES[each.score]} ({each.text})" for each in found]) or "no score"


def _runs(found: Sequence[Difference]) -> str:
    """The runs of the largest differences, and how many more there are."""
    ordered = sorted(found, key=lambda each: -abs(each.value)) if len(found) > MOST else found
    names = [f"{each.run} ({each.text})" for each in ordered[:MOST]]
    more = [f"{len(found) - MOST} more"] if len(found) > MOST else []
    return _list(names + more) or "no run"


def _list(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _counts(found: Sequence[Difference]) -> str:
    """How many are higher, lower and equal, and the extremes."""
    higher, lower = _by_sign(found)
    equal = len(found) - len(higher) - len(lower)
    parts = []
    for some, what in ((higher, "higher"), (lower, "lower")):
        most = max(some, key=lambda each: abs(each.value), default=None)
        where = f"{len(some)} (most: {most.run}, {most.text})" if most else "none"
        parts.append(f"{what} in {where}")
    return _list([*parts, f"equal in {equal}"] if equal else parts)


def _hold_zero(found: Sequence[Difference], level: float) -> str:
    hold = "interval holds" if len(found) == 1 else "intervals hold"
    return f"whose {100 * level:.3g} % {hold} zero"


def _why(unknown: Iterable[Difference]) -> str:
    """Why there is no error."""
    alone = all(each.se is None for each in unknown)
    return "one seed" if alone else "one seed (or seeds that agree)"


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
