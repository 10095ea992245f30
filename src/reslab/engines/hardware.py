"""What torch computes on: threads and devices, next to the facts of the machine."""

from typing import Any

import torch

from reslab.system import environment


def collect_environment() -> dict[str, Any]:
    """Return versions, processor, threads, source and GPU as JSON values, without the names of machine and user."""
    values = {**environment.collect(), "threads": torch.get_num_threads()}
    if torch.cuda.is_available():
        values["cuda"] = {"name": torch.cuda.get_device_name(), "version": torch.version.cuda}
    return values
