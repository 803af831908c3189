"""Rounds as tables that other programs read: points, SALICON's JSON, jsPsych's trials.

csv       a row a point: image,x,y,observer,t, as `attnlabels teacher train` reads it
salicon   SALICON's JSON of 2015: points [row, col] from 1 of each worker in each image
jspsych   a row a round with jsPsych's names, of all finished rounds; `left_out` says which do
          not count, and why
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from attnlabels.collecting.settings import Task
from attnlabels.gathered.choosing import Chosen, Played
from attnlabels.gathered.study import Participant, Round
from attnlabels.pipeline.writing import write_rows

POINTS = {
    "image": "the image's path below the folder of images",
    "x": "pixels from its left edge, at which the first pixel begins",
    "y": "pixels from its top edge",
    "observer": "the player's random id",
    "t": "milliseconds since the round's first press, or the image's onset",
}
EVENTS = {"move": "mousemove", "down": "mousedown", "up": "mouseup", "click": "click"}  # jsPsych's
ROUNDS = {
    "subject": "the player's random id",
    "trial_type": "attnlabels-paint, -peek or -look",
    "trial_index": "of the player's rounds, from 0",
    "time_elapsed": "milliseconds from the player's consent to the end of the round",
    "rt": "milliseconds that the round lasted",
    "stimulus": "the image's path below the folder of images",
    "stimulus_sha256": "of the image's file",
    "category": "the image's class",
    "kind": "practice, play, catch or repeat",
    "response": "recognised, timeout, skipped or done",
    "correct": "whether the partner named the class",
    "score": "0 to 100",
    "left_out": "why the round does not count; empty if it does",
    "pointer": "mouse, touch or pen",
    "scale": "CSS pixels for a pixel of the image",
    "device_pixel_ratio": "of the display",
    "shown_width": "of the image, CSS pixels",
    "shown_height": "of the image, CSS pixels",
    "frames": "that were drawn",
    "late": "of these, later than 1.5 periods",
    "period_ms": "median time between frames",
    "hidden": "how often the page was hidden",
    "mouse_tracking_data": "JSON: [{x, y, t, event}], x and y in pixels of the image",
    "mouse_tracking_targets": "JSON: the image's rectangle in the same pixels",
    "bubbles": "JSON: [{x, y, t}], the places that were painted",
    "guesses": "JSON: [{t, n, top}], the partner's answers to the first n bubbles",
    "checks": "JSON: what was repaired or doubtful",
    "language": "of the pages",
    "browser": "its family",
    "app_version": "of attnlabels",
    "consent_version": "of the text that was agreed to",
}


def by_task(chosen: Chosen) -> dict[Task, list[Played]]:
    """The rounds that count, by their task."""
    tasks: dict[Task, list[Played]] = {}
    for each in chosen.rounds:
        tasks.setdefault(each.round.task, []).append(each)
    return tasks


def write_points(path: Path, played: Sequence[Played]) -> None:
    """The points of rounds as a table."""
    rows = (
        {"image": each.image.path, "x": x, "y": y, "observer": each.participant, "t": t}
        for each, points in played
        for t, (x, y) in zip(points.t.round(1).tolist(), points.xy.tolist())
    )
    write_rows(path, rows, columns=[*POINTS])


def write_salicon(path: Path, played: Sequence[Played], *, workers: dict[str, int]) -> None:
    """The points of rounds as SALICON published its own in 2015."""
    images = {each.round.image.number: each.round.image for each in played}
    tree = {
        "images": [
            {"id": id, "file_name": each.path, "height": each.height, "width": each.width}
            for id, each in sorted(images.items())
        ],
        "annotations": [
            {
                "id": number,
                "image_id": each.round.image.number,
                "worker_id": workers[each.round.participant],
                "fixations": (each.points.cells + 1).tolist(),
            }
            for number, each in enumerate(played)
        ],
    }
    path.write_text(json.dumps(tree, allow_nan=False) + "\n")


def write_jspsych(table: Path, tree: Path, chosen: Chosen) -> None:
    """All finished rounds as a table, and as JSON, in which nothing is text that is none."""
    study = chosen.study
    who = {each.id: study.participants[each.participant] for each in study.rounds}
    rounds = [_trial(each, who[each.id], chosen.left_out.get(each.id, "")) for each in study.rounds]
    write_rows(table, map(_flat, rounds), columns=[*ROUNDS])
    lines = ",\n".join(json.dumps(each, allow_nan=False) for each in rounds)
    tree.write_text(f"[\n{lines}\n]\n")


def _trial(played: Round, who: Participant, left_out: str) -> dict[str, Any]:
    shown, image = dict(played.shown), played.image
    return {
        "subject": who.id,
        "trial_type": f"attnlabels-{played.task}",
        "trial_index": played.position,
        "time_elapsed": _milliseconds(who.started, played.finished),
        "rt": played.duration_ms,
        "stimulus": image.path,
        "stimulus_sha256": image.sha256,
        "category": image.label,
        "kind": played.kind,
        "response": played.outcome,
        "correct": played.outcome == "recognised",
        "score": played.score,
        "left_out": left_out,
        "device_pixel_ratio": shown.pop("ratio"),
        **shown,
        "mouse_tracking_data": [*_samples(played, EVENTS)],
        "mouse_tracking_targets": {
            "#image": {"x": 0, "y": 0, "width": image.width, "height": image.height}
            | {"top": 0, "right": image.width, "bottom": image.height, "left": 0}
        },
        "bubbles": [*_samples(played, {"bubble": None})],
        "guesses": [each._asdict() for each in played.guesses],
        "checks": played.checks,
        "language": who.language,
        "browser": who.family,
        "app_version": who.app,
        "consent_version": who.consent,
    }


def _samples(played: Round, named: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The samples of some events, by jsPsych's name for each; None: it has none."""
    t, xy, events = played.samples
    for at, (x, y), event in zip(t.tolist(), xy.tolist(), events):
        if event in named:
            name = named[event]
            yield {"x": x, "y": y, "t": at} | ({} if name is None else {"event": name})


def _milliseconds(start: str, end: str) -> int:
    one, other = (datetime.fromisoformat(each.replace("Z", "+00:00")) for each in (start, end))
    return round((other - one).total_seconds() * 1000)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Cells of a CSV: JSON for what has parts, true and false, nothing for what is not told."""
    told = {key: value for key, value in row.items() if value is not None}
    return {
        key: json.dumps(value) if isinstance(value, list | dict | bool) else value
        for key, value in told.items()
    }
