from collections import Counter
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from attnlabels.psychophysics.participants import Participant, answer, recruit, see_all

CLASSES = ["a", "b", "c"]


def seen(n: int = 30) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image": [f"{CLASSES[i % 3]}/{i}.png" for i in range(n)],
            "class": [CLASSES[i % 3] for i in range(n)],
            "map_type": "players",
            "share": 0.1,
            "lost": 0,
        }
    )


def logits_of(table: pd.DataFrame, *, sure: float) -> np.ndarray:
    """Of a network that knows the class."""
    return sure * (table["class"].to_numpy()[:, None] == np.array(CLASSES))


def answers(*, sure: float, noise_sd: float, number: int = 0, seed: int = 0) -> list[dict]:
    who = Participant(number, 0, "net-0", noise_sd)
    table = seen()
    return answer(who, table, logits_of(table, sure=sure), classes=CLASSES, seed=seed)


def test_networks_and_noises_go_round_and_sets_differ_in_use_by_one():
    people = recruit(25, n_sets=8, networks=["x", "y"], noise_sd=[0.5, 1.0])
    uses = Counter(each.set for each in people)
    assert max(uses.values()) - min(uses.values()) == 1 and {*uses} == set(range(8))
    assert [(each.network, each.noise_sd) for each in people[:5]] == [
        ("x", 0.5),
        ("y", 0.5),
        ("x", 1.0),
        ("y", 1.0),
        ("x", 0.5),
    ]
    first, second = (people[:4], people[4:8])  # of groups of four sets
    assert Counter(each[2:] for each in first) == Counter(each[2:] for each in second)


def test_without_noise_the_answer_is_the_largest_logit():
    rows = answers(sure=1.0, noise_sd=0.0)
    assert len(rows) == 30 and all(row["response"] == row["class"] for row in rows)
    assert [row["trial"] for row in rows] == list(range(30))
    assert sorted(row["image"] for row in rows) == sorted(seen()["image"])
    assert [row["image"] for row in rows] != [*seen()["image"]]
    assert {*rows[0]} >= {"participant", "image", "class", "map_type", "share", "response"}


def test_the_more_noise_the_more_errors_down_to_chance():
    right = {
        noise_sd: np.mean(
            [
                row["response"] == row["class"]
                for number in range(40)
                for row in answers(sure=1.0, noise_sd=noise_sd, number=number)
            ]
        )
        for noise_sd in (0.2, 1.0, 1000.0)
    }
    assert right[0.2] > 0.99 and 0.5 < right[1.0] < 0.9
    assert abs(right[1000.0] - 1 / 3) < 0.05


def test_participants_err_and_go_on_in_ways_of_their_own_each_time_alike():
    def told(number: int) -> list[tuple[str, str]]:
        rows = answers(sure=0.0, noise_sd=1.0, number=number)
        return [(row["image"], row["response"]) for row in rows]

    assert told(0) == told(0)
    assert [image for image, _ in told(0)] != [image for image, _ in told(1)]
    assert dict(told(0)) != dict(told(1))


def test_each_stimulus_is_seen_once_in_batches_in_order(tmp_path):
    for i in range(5):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((4, 4, 3), 10 * i, np.uint8))
    batches = []

    def see(images: np.ndarray) -> SimpleNamespace:
        batches.append(len(images))
        return SimpleNamespace(logits=images[:, 0, 0, :2].astype(float))

    found = see_all(tmp_path, [f"{i}.png" for i in (3, 0, 4, 1)], see, batch_size=3)
    assert found[:, 0].tolist() == [30, 0, 40, 10] and batches == [3, 1]


@pytest.mark.parametrize(
    ("count", "networks", "noise_sd"), [(1, ["x"], [1.0]), (9, [], [1.0]), (9, ["x"], [])]
)
def test_an_experiment_without_participants_is_refused(count, networks, noise_sd):
    with pytest.raises(ValueError, match=f"{count} participants of {len(networks)} networks and"):
        recruit(count, n_sets=4, networks=networks, noise_sd=noise_sd)
