import numpy as np
import pytest

from attnlabels.clickmaps.blurring import bubbled
from attnlabels.clickmaps.playing import area_under_curve
from attnlabels.gathered.points import points_of
from attnlabels.gathered.quality import RULE, SUSPICIOUS, Sign, judge, measure_players
from attnlabels.gathered.study import read_study
from attnlabels.simulated.strokes import HONEST
from gathered_study import change, make_study

CROWD = (*["painter"] * 8, "tracer", "tracer", "colourist", "colourist")
CROWD += (*["lazy"] * 3, *["random"] * 3, *["bot"] * 3)


@pytest.mark.parametrize("seed", range(3))
def test_lazy_random_and_bot_players_stand_out(tmp_path, seed):
    made = make_study(tmp_path, CROWD, seed=seed, n_images=16, n_rounds=8)
    players = measure_players(read_study(made.study))
    for which in ("lazy", "random", "bot"):
        told = [
            (each.suspicion, made.manners[id] == which)
            for id, each in players.items()
            if made.manners[id] in (which, *HONEST)
        ]
        assert area_under_curve(*zip(*told)) >= 0.9, which
    painters = [each for id, each in players.items() if made.manners[id] == "painter"]
    assert all(each.suspicion < SUSPICIOUS for each in painters)


def test_what_each_measure_says_of_whom(made):
    players = measure_players(read_study(made.study))
    values = {}
    for id, each in players.items():
        values.setdefault(made.manners[id], []).append(each.values)
    lazy, bot, own = values["lazy"][0], values["bot"][0], values["painter"]
    told = [key for key in lazy if all(each[key] is not None for each in own)]
    painters = {key: np.mean([each[key] for each in own]) for key in told}
    assert painters["agreement"] > painters["null"] + 0.15
    assert lazy["specific"] < 0.1 < painters["specific"]
    assert lazy["centre"] > painters["centre"] and lazy["centred"] > 0 > painters["centred"]
    assert bot["time_variation"] == 0 < 0.08 < painters["time_variation"]
    assert bot["length_variation"] < painters["length_variation"]
    assert painters["consistency"] > bot["consistency"]
    assert bot["coverage"] > painters["coverage"] and bot["colouring"] > 2
    assert painters["won"] > lazy["won"]


def test_how_much_is_uncovered_is_counted_on_the_image_itself(copied):
    """Of squares of three pixels on images twice as wide as high, not on what is stretched."""
    study = read_study(copied.study)
    who = next(id for id, each in measure_players(study).items() if each.rounds == 1 or each.rounds)
    own = {}
    for each in study.rounds:
        if each.participant == who and each.kind != "practice":
            own.setdefault((each.task, each.image.number), each)
    areas = []
    for each in own.values():
        cells = points_of(each).cells
        if len(cells):
            size = (each.image.height, each.image.width)
            areas.append(bubbled(cells, size=size, reach=study.reach).mean())
    assert measure_players(study)[who].values["coverage"] == pytest.approx(np.mean(areas))


def test_catch_rounds_and_rounds_that_are_too_fast_count(copied):
    change(copied.study, "UPDATE rounds SET duration_ms = 100 WHERE position % 2 = 0")
    change(copied.study, "UPDATE rounds SET outcome = 'timeout' WHERE kind = 'catch'")
    players = measure_players(read_study(copied.study))
    for each in players.values():
        assert each.values["too_fast"] == pytest.approx(0.5, abs=0.1)
        assert each.values["catch"] == 0 and each.values["careless"] is None  # of one alone
        assert "rounds end too soon" in each.reasons
    change(copied.study, "UPDATE rounds SET kind = 'catch' WHERE position < 4 AND kind = 'play'")
    change(copied.study, "UPDATE rounds SET outcome = 'timeout' WHERE kind = 'catch'")
    players = measure_players(read_study(copied.study))
    assert all(each.values["careless"] == 1 for each in players.values())


def test_a_single_player_is_not_compared(tmp_path):
    made = make_study(tmp_path, ["painter"], n_images=6, n_rounds=3)
    (player,) = measure_players(read_study(made.study)).values()
    assert player.values["agreement"] is None and player.values["specific"] is None
    assert player.values["consistency"] is not None and player.suspicion == 0


def test_evidence_goes_from_what_is_fine_to_what_is_bad_either_way():
    up, down = Sign(0.1, 0.5, 1.0, "high"), Sign(0.5, 0.1, 1.0, "low")
    assert [up.evidence(x) for x in (0.0, 0.1, 0.3, 0.5, 0.9)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert [down.evidence(x) for x in (0.9, 0.5, 0.3, 0.1)] == pytest.approx([0, 0, 0.5, 1])
    assert up.evidence(None) == 0


def test_strong_signs_suffice_and_weak_ones_add_up():
    rule = {"a": Sign(0, 1, 0.6, "is a"), "b": Sign(0, 1, 0.3, "is b")}
    assert judge({"a": 0.0, "b": None}, rule) == (0.0, [])
    assert judge({"a": 1.0}, rule) == (pytest.approx(0.6), ["is a"])
    suspicion, reasons = judge({"a": 1.0, "b": 1.0}, rule)
    assert suspicion == pytest.approx(1 - 0.4 * 0.7) and reasons == ["is a", "is b"]
    assert judge({"a": 0.4, "b": 0.4}, rule) == (pytest.approx(1 - 0.76 * 0.88), [])


def test_every_sign_is_a_measure(made):
    player = next(iter(measure_players(read_study(made.study)).values()))
    assert {*RULE} <= {*player.values}
