"""Action in clips: two streams, one of a frame alone and one of motion (Simonyan & Zisserman 2014).

A run is one stream; `fused` is what both say together.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from attnlabels.shards.clips import Clip, Clips
from attnlabels.tasks.classification import answer, head, loss, scores
from attnlabels.tasks.examples import Examples

__all__ = ["SHOWN", "answer", "head", "loss", "read", "scores"]

Frames = UInt8[np.ndarray, "t h w 3"]
FLOW_SCALE = 5.0  # px a frame, to which flow is clipped and by which it is divided
FLOW: dict[str, Any] = {  # Farnebäck's, of OpenCV
    "pyr_scale": 0.5,
    "levels": 2,
    "winsize": 9,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.1,
    "flags": 0,
}


def frame(frames: Frames) -> Float[np.ndarray, "3 h w"]:
    """The middle frame: no motion is in it."""
    return frames[len(frames) // 2].transpose(2, 0, 1).astype(np.float32) / 255


def differences(frames: Frames) -> Float[np.ndarray, "s h w"]:
    """Grey of each frame minus that of the one before."""
    grey = np.stack([cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in frames])
    return np.diff(grey.astype(np.float32), axis=0) / 255


def flow(frames: Frames) -> Float[np.ndarray, "s h w"]:
    """Dense optical flow from each frame to the next, across and down, in shares of FLOW_SCALE."""
    grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in frames]
    empty = (*grey[0].shape, 2)  # where it is written to: a place each
    found = [
        cv2.calcOpticalFlowFarneback(a, b, np.zeros(empty, np.float32), **FLOW)
        for a, b in pairwise(grey)
    ]
    stacked = np.concatenate([each.transpose(2, 0, 1) for each in found])
    return (stacked / FLOW_SCALE).clip(-1, 1).astype(np.float32)


STREAMS: dict[str, Callable[[Frames], np.ndarray]] = {
    "frame": frame,
    "differences": differences,
    "flow": flow,
}
SHOWN = tuple(STREAMS)


def read(folder: Path, *, shown: str, size: int, masks: Path | None) -> Examples:
    """The clips of shards as the stream `shown`; raises ValueError for frames of another size."""
    clips = Clips(folder)
    found = [clips[i] for i in range(len(clips))]
    height, width = found[0]["frames"].shape[1:3]
    if (height, width) != (size, size):
        raise ValueError(f"{folder}: frames of {height} x {width}; expected {size} x {size}")
    return Examples(
        keys=[each["key"] for each in found],
        shown=np.stack([STREAMS[shown](each["frames"]) for each in found]),
        target=clips.labels.astype(np.int64),
        maps=np.stack([_map(each, size) for each in found]),
        points=[each["points"][:, 1:].astype(np.int64) for each in found],
        n_outputs=len(clips.classes),
        pictures=np.stack([each["frames"][len(each["frames"]) // 2] for each in found]),
    )


def _map(clip: Clip, size: int) -> np.ndarray:
    if clip["map"].shape != (size, size):
        raise ValueError(f"{clip['key']}: a map of {clip['map'].shape}, and frames of {size} px")
    return clip["map"]
