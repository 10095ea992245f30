"""A process whose partner is gone ends with one sentence, not with a traceback out of the communication library."""

import os
import socket
import subprocess
import sys

from tests.waiting import HANG_SECONDS

_PROGRAM = """
import os
import torch
from reslab.distributed import barrier, process_group, sum_over_ranks, world_from_environment
from reslab.errors import RunError


world = world_from_environment()
try:
    with process_group(world, torch.device("cpu")):
        barrier()
        if not world.is_main:
            os._exit(9)  # as when the system kills it for memory
        for _ in range(1000):
            sum_over_ranks(torch.ones(1000))
except RunError as failure:
    print(failure)
"""


def test_a_process_whose_partner_was_killed_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    )
    said, errors = first.communicate(timeout=HANG_SECONDS)
    second.communicate(timeout=HANG_SECONDS)
    assert second.returncode == 9
    assert said == "rank 0 of 2 stopped because another rank failed; see that rank's error.\n", errors
    assert first.returncode == 0
    assert "Traceback" not in errors
