import os
import subprocess
import sys

import pytest

from attnlabels.serving.holding import hold

HOLDER = """
import sys, time
from pathlib import Path
from attnlabels.serving.holding import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_folder_is_held_by_one_process_until_it_ends(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match="another server runs on it; stop that one"):
            hold(tmp_path)
    finally:
        holder.kill()
        holder.communicate()
    os.close(hold(tmp_path))
