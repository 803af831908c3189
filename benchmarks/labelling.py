"""Time the labelling of a folder of photographs, against the two limits below; on one thread.

    python benchmarks/labelling.py IMAGES COUNT TIMES

Labels COUNT images of IMAGES, a folder of class folders, TIMES times in each of three ways, in turn:

- the plain loop, image by image: decode, the teacher as it was trained, fixations in numpy, tar;
- `src/label_images.py` with the paper's parameters, but for batches that suit a CPU's cache; its
  one worker decodes on another core, if there is one;
- the teacher's forward alone, batch norm folded, on batches that are ready.

The teacher has random weights. Prints Markdown: images a second, median [least, most], and the two
ratios of medians. Leaves with status 1 if a limit is missed. With the paper's parameters 512 images
take a core about 20 seconds a time.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

import label_images  # noqa: E402
from attnlabels.datasets.image_folder import list_images, read_manifest, write_manifest  # noqa: E402
from attnlabels.datasets.images import decode, resize  # noqa: E402
from attnlabels.datasets.shards import Sample, write_shards  # noqa: E402
from attnlabels.models.files import load_weights, write_weights  # noqa: E402
from attnlabels.models.teacher import Teacher  # noqa: E402
from attnlabels.params import load, read  # noqa: E402

LEAST_TO_PLAIN = 2.0
LEAST_TO_FORWARD = 0.8
MODEL = {"taps": [3, 5, 7, 9], "pool_stride": 1, "output": "learnt_offset"}
FOR_A_CPU = {"batch_size": 16, "workers": 1, "processes": 1, "shard_size": 256}


def main(images: Path, count: int, times: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
