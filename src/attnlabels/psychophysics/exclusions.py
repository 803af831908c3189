"""Who is left out of an experiment, and what counts as no answer, by rules that are parameters.

Those of the code of Linsley et al.'s experiment (ICLR 2019, §2.2): people at chance on the whole
image, or who let many trials pass, are left out; an answer within 20 ms is none. To which are added
what a browser's page marked, and who left before the end.
"""

from typing import Annotated, Literal, NamedTuple

import pandas as pd
from pydantic import Field

from attnlabels.images.names import some_of
from attnlabels.pipeline.params import record
from attnlabels.psychophysics.trials import FINISHED, MARK, RT

WHOLE = 1.0  # the share that is the whole image


@record
class Rules:
    """Each rule, or null or `keep` for none."""

    fastest_ms: Annotated[float, Field(ge=0)] | None  # an answer before that is no answer
    whole_accuracy: Annotated[float, Field(ge=0, le=1)] | None  # on whole images: more is asked for
    unanswered_sd: Annotated[float, Field(ge=0)] | None  # so many sd above the mean are too many
    blank_accuracy: Annotated[float, Field(ge=0, le=1)] | None  # where nothing is revealed: at most
    marked: Literal["drop", "keep"]  # trials that were marked, as those shown for too long are
    unfinished: Literal["drop", "keep"]  # who left before the end


class Kept(NamedTuple):
    """The answered trials of who is kept, and why each other participant is not."""

    trials: pd.DataFrame
    excluded: dict[str, str]
    too_fast: int  # answers that count as none
    unanswered: int  # trials without an answer, those among them, of who is kept
    marked: int  # trials of who is kept that are dropped for their mark


def exclude(trials: pd.DataFrame, rules: Rules) -> Kept:
    """What of a table of `attnlabels.psychophysics.trials.read_trials` counts.

    Trials without an answer are in no accuracy, and dropped ones in no rule. Each rule is asked of
    all participants, so that whom one excludes does not change another's bounds. Raises ValueError
    if nobody is kept.
    """
    wanted = (trials[MARK] == "") | (rules.marked == "keep")
    told = trials[wanted].copy()
    fast = told["answered"] & (told[RT] < (rules.fastest_ms or 0))
    told.loc[fast, "answered"] = False
    answered = told[told["answered"]]
    excluded: dict[str, str] = {}
    for participant, why in [
        *_below(answered, rules.whole_accuracy),
        *_absent(told, rules.unanswered_sd),
        *_knowing(answered, rules.blank_accuracy),
        *_gone(trials, rules.unfinished),
    ]:
        before = f"{excluded[participant]}; " if participant in excluded else ""
        excluded[participant] = f"{before}{why}"
    kept = told[~told["participant"].isin(excluded.keys())]
    if not kept["answered"].any():
        raise ValueError(
            f"all {told['participant'].nunique()} participants are excluded or answered nothing "
            f"({some_of(f'{who}: {why}' for who, why in excluded.items())}); see the rules"
        )
    unanswered = int((~kept["answered"]).sum())
    marked = int((~wanted & ~trials["participant"].isin(excluded.keys())).sum())
    return Kept(kept[kept["answered"]], excluded, int(fast.sum()), unanswered, marked)


def _below(answered: pd.DataFrame, least: float | None) -> list[tuple[str, str]]:
    """Who is not above `least` on whole images; of who saw none, nothing is known."""
    if least is None:
        return []
    found = answered[answered["share"] == WHOLE].groupby("participant")["correct"].mean()
    low = found[found <= least]
    return [(str(who), f"{each:.2f} on whole images") for who, each in low.items()]


def _absent(told: pd.DataFrame, sd: float | None) -> list[tuple[str, str]]:
    """Who left more trials unanswered than so many standard deviations above the mean."""
    if sd is None:
        return []
    counts = (~told["answered"]).groupby(told["participant"]).sum()
    most = counts.mean() + sd * counts.std(ddof=0)
    return [(str(who), f"{n} trials unanswered") for who, n in counts.items() if n > most]


def _knowing(answered: pd.DataFrame, most: float | None) -> list[tuple[str, str]]:
    """Who is above `most` where nothing is revealed, and so must know by something else."""
    if most is None:
        return []
    found = answered[answered["share"] == 0].groupby("participant")["correct"].mean()
    high = found[found > most]
    return [(str(who), f"{each:.2f} on blank ones") for who, each in high.items()]


def _gone(trials: pd.DataFrame, unfinished: str) -> list[tuple[str, str]]:
    """Who left before the end, whose place another participant has taken since."""
    if unfinished == "keep":
        return []
    counts = trials[~trials[FINISHED]].groupby("participant").size()
    return [(str(who), f"left after {n} trials") for who, n in counts.items()]
