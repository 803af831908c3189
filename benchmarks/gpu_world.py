"""One process of the check of several in `gpu.py`: starts the others and passes numbers around.

PYTHONPATH=src python benchmarks/gpu_world.py COUNT REPORT
"""

import json
import sys
from pathlib import Path

import torch

from attnlabels.pipeline.launch import launch
from attnlabels.processes.world import joined


def main(report: Path) -> None:
    with joined() as world:
        rows = torch.full((2, 3), world.rank, dtype=torch.bfloat16, device=world.device)
        found = {
            "size": world.size,
            "device": str(world.device),
            "gathered": world.gather(rows)[:, 0].tolist(),
            "none": list(world.gather(rows[:, :0]).shape),  # the maps of a run without attention
            "total": world.total(world.rank + 0.5),
        }
        world.agree("the folder", str(report))
        if world.first:
            report.write_text(json.dumps(found))


if __name__ == "__main__":
    launch(int(sys.argv[1]))
    main(Path(sys.argv[2]))
