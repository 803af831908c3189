import pytest

from attnlabels.gathered.choosing import RoundRules, choose
from attnlabels.gathered.study import read_study
from gathered_study import change


def reasons(chosen):
    counts = {}
    for why in chosen.left_out.values():
        counts[why] = counts.get(why, 0) + 1
    return counts


def test_practice_catch_and_repeats_are_left_out_and_counted(made):
    chosen = choose(read_study(made.study))
    assert len(chosen.rounds) == 8 * 8
    assert {each.round.kind for each in chosen.rounds} == {"play"}
    assert reasons(chosen) == {
        "of practice": 8,
        "of catch": 8,
        "of an image that their player had before": 16,
    }
    assert chosen.told()[0] == "64 of 96 finished rounds count, by 8 of 8 participants"
    assert "left out: 8 rounds of practice" in chosen.told()


def test_repeats_and_other_kinds_can_be_asked_for(made):
    study = read_study(made.study)
    again = choose(study, RoundRules(first_only=False))
    assert len(again.rounds) == 8 * 10
    everything = ("practice", "play", "catch", "repeat")
    assert len(choose(study, RoundRules(kinds=everything, first_only=False)).rounds) == 96


def test_a_skipped_round_does_not_count_and_its_repeat_does(copied):
    who = next(iter(copied.manners))
    study = read_study(copied.study)
    again = next(r for r in study.rounds if r.participant == who and r.kind == "repeat")
    change(
        copied.study,
        "UPDATE rounds SET outcome = 'skipped' WHERE participant = ? AND kind = 'play'"
        " AND image = ?",
        who,
        again.image.number,
    )
    chosen = choose(read_study(copied.study))
    assert reasons(chosen)["skipped"] == 1 and len(chosen.rounds) == 64
    assert again.id in {each.round.id for each in chosen.rounds}


def n_repeated(made):
    """How many repeats are of the round at position 1, the first of play."""
    rounds = read_study(made.study).rounds
    first = {each.participant: each.image for each in rounds if each.position == 1}
    return sum(each.kind == "repeat" and each.image == first[each.participant] for each in rounds)


@pytest.mark.parametrize(
    ("statement", "rule", "why"),
    [
        ("pointer = 'touch'", {"pointers": ["mouse"]}, "by touch"),
        ("duration_ms = 99", {"fastest_ms": 100.0}, "of less than 100 ms"),
        ("hidden = 2", {"hidden": 1}, "with the page hidden"),
        ("samples = '[[0, 1, 1, \"bubble\"]]'", {"fewest_points": 2}, "of too few points"),
        ("samples = '[]'", {}, "of too few points"),
    ],
    ids=["pointer", "fast", "hidden", "few", "none"],
)
def test_a_rule_leaves_out_rounds_and_says_why(copied, statement, rule, why):
    change(copied.study, f"UPDATE rounds SET {statement} WHERE position = 1")
    chosen = choose(read_study(copied.study), RoundRules(**rule))
    assert reasons(chosen)[why] == 8
    # a repeat of one of these counts in its place
    assert len(chosen.rounds) == 8 * 8 - 8 + n_repeated(copied)


def test_a_rule_that_nothing_breaks_leaves_out_nothing(made):
    rules = RoundRules(pointers=["mouse"], fastest_ms=100.0, hidden=0, fewest_points=2)
    assert len(choose(read_study(made.study), rules).rounds) == 64


def test_players_are_left_out_by_name_by_catch_rounds_and_by_suspicion(made, copied):
    study = read_study(made.study)
    lazy, bot = (
        next(id for id, m in made.manners.items() if m == which) for which in ("lazy", "bot")
    )
    named = choose(study, RoundRules(without=[lazy]))
    assert named.excluded == {lazy: "by name"} and lazy not in named.players
    suspicious = choose(study, RoundRules(suspicion=0.5))
    assert {lazy, bot} <= {*suspicious.excluded}
    assert "suspicion" in suspicious.excluded[bot]
    change(
        copied.study,
        "UPDATE rounds SET outcome = CASE participant WHEN ? THEN 'timeout' ELSE 'recognised' END"
        " WHERE kind = 'catch'",
        lazy,
    )
    assert choose(read_study(copied.study), RoundRules(catch=0.95)).excluded == {
        lazy: "0.00 of catch rounds right"
    }


def test_images_of_too_few_players_are_left_out(made):
    study = read_study(made.study)
    counts = {}
    for each in choose(study).rounds:
        counts[each.round.image.number] = counts.get(each.round.image.number, 0) + 1
    most = max(counts.values())
    chosen = choose(study, RoundRules(fewest_players=most))
    assert {each.round.image.number for each in chosen.rounds} == {
        number for number, n in counts.items() if n == most
    }


def test_who_is_nobody_and_what_leaves_nothing_is_refused(made, copied):
    study = read_study(made.study)
    with pytest.raises(ValueError, match="study: nobody is no participant"):
        choose(study, RoundRules(without=["nobody"]))
    with pytest.raises(
        ValueError, match="no round is left .80 of less than 1e.06 ms, 8 of practice"
    ):
        choose(study, RoundRules(fastest_ms=1e6))
    change(copied.study, "DELETE FROM rounds WHERE kind = 'catch'")
    with pytest.raises(ValueError, match="nobody finished a catch round"):
        choose(read_study(copied.study), RoundRules(catch=0.9))
