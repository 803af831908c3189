import signal

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from attnlabels.pipeline.launch import _status

KILL, TERM, ABORT = -signal.SIGKILL, -signal.SIGTERM, -signal.SIGABRT


@pytest.mark.parametrize(
    ("failures", "status", "said"),
    [
        ({1: (KILL, 5)}, 1, "process 1 was ended by SIGKILL"),
        ({0: (1, 5), 1: (KILL, 5)}, 1, "process 1 was ended by SIGKILL"),  # 0 had waited for 1
        ({0: (1, 5), 1: (-signal.SIGSEGV, 6)}, 1, "process 1 was ended by SIGSEGV"),
        ({0: (1, 5), 1: (KILL, 65)}, 1, None),  # by the agent, as it did not hear
        ({0: (3, 5), 1: (TERM, 5)}, 3, None),
        ({0: (3, 5), 1: (ABORT, 5)}, 3, None),
        ({0: (75, 6), 1: (75, 5)}, 75, None),
        ({0: (TERM, 5), 1: (KILL, 5)}, 1, "process 1 was ended by SIGKILL"),
        ({0: (ABORT, 5)}, 1, "process 0 was ended by SIGABRT"),
    ],
)
def test_of_processes_that_failed_the_cause_is_told(failures, status, said, capsys):
    error = ChildFailedError(
        "train.py",
        {
            rank: ProcessFailure(local_rank=rank, pid=10 + rank, exitcode=code, error_file="")
            for rank, (code, _) in failures.items()
        },
    )
    for rank, (_, second) in failures.items():
        error.failures[rank].timestamp = second
    assert _status(error) == status
    told = capsys.readouterr().err
    assert said in told if said else not told
