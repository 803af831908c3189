"""The learning rate over a run, as in google-research/simclr:model_util.py."""

import math


def warmup_cosine(step: int, *, warmup_steps: int, total_steps: int) -> float:
    """Factor on the learning rate at `step`, counted from 0: linear from 0 to 1, cosine to 0."""
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(
            f"{warmup_steps} warm-up steps of {total_steps} in all, expected 0 or more and "
            "fewer than all; train for more epochs or warm up for fewer"
        )
    if step < warmup_steps:
        return step / warmup_steps
    progress = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return (1 + math.cos(math.pi * progress)) / 2
