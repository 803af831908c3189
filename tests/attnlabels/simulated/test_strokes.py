import cv2
import numpy as np
import pytest

from attnlabels.simulated.strokes import TARGETS, Hand, Known, stroke

SIDE = 64
STEP = 2.0


def known() -> Known:
    mask, part = (np.zeros((SIDE, SIDE)) for _ in range(2))
    cv2.circle(mask, (40, 24), 16, 1.0, cv2.FILLED)
    cv2.circle(part, (46, 20), 6, 1.0, cv2.FILLED)
    return Known(mask, part)


def way(manner, seed=0, seconds=7.0, of=None):
    hand = Hand(manner=manner, part_share=0.9, pace=0.9)
    rng = np.random.default_rng(seed)
    return stroke(rng, hand, of or known(), step=STEP, period_ms=50.0, seconds=seconds)


each_manner = pytest.mark.parametrize("manner", sorted(TARGETS))


@each_manner
def test_a_hand_stays_inside_and_goes_no_further_than_a_step_and_no_sooner(manner):
    for seed in range(5):
        found = way(manner, seed)
        assert len(found.t) == len(found.xy) and found.t[0] == 0 and found.t[-1] <= 7000
        assert len(found.t) >= 7000 / 67
        assert ((found.xy >= 0) & (found.xy < SIDE)).all()
        assert np.hypot(*np.diff(found.xy, axis=0).T).max() <= STEP + 1e-9
        assert np.diff(found.t).min() >= 50


@each_manner
def test_the_same_seed_gives_the_same_way(manner):
    assert (way(manner, 3).xy == way(manner, 3).xy).all()


def shares(manner):
    of = known()
    on = []
    for seed in range(8):
        cols, rows = np.floor(way(manner, seed).xy).astype(int).T
        on.append((of.part[rows, cols].mean(), of.mask[rows, cols].mean()))
    return np.mean(on, axis=0)


def test_manners_go_where_their_names_say():
    part, mask = shares("painter")
    assert part > 0.5 and mask > 0.8
    assert shares("random")[1] < 0.5 and shares("lazy")[0] < 0.2
    assert shares("colourist")[1] > 0.8 > 0.5 > shares("colourist")[0]
    centre = np.abs(way("lazy").xy - SIDE / 2).max()
    assert centre < 0.2 * SIDE
    outline = np.hypot(*(way("tracer").xy - (40.5, 24.5)).T)
    assert np.quantile(outline, 0.1) > 13 and outline.max() < 19


def test_a_bots_steps_and_times_are_equal_and_a_hands_are_not():
    bot, hand = way("bot"), way("painter")
    assert np.ptp(np.diff(bot.t)) == 0 and np.ptp(np.diff(hand.t)) > 5
    lengths = np.hypot(*np.diff(bot.xy, axis=0).T)
    assert np.mean(np.isclose(lengths, STEP)) > 0.9


@each_manner
def test_what_is_a_single_pixel_or_covers_all_is_painted_too(manner):
    dot = np.zeros((SIDE, SIDE))
    dot[5, 9] = 1
    for of in (Known(dot, dot), Known(np.ones((9, 7)), np.ones((9, 7)))):
        assert len(way(manner, of=of, seconds=2.0).t) > 20
