"""The device that a name means on this machine, and what is checked before anything is computed on it."""

import pytest
import torch

from reslab.engines.hardware import pick_device
from reslab.errors import RunError, UsageError

CPU = torch.device("cpu")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Let torch see two GPUs; return the devices that are made current."""
    current: list[torch.device] = []
    monkeypatch.setattr("torch.backends.cudnn.allow_tf32", True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", current.append)
    return current


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_auto_is_the_cpu() -> None:
    assert pick_device() == pick_device("auto") == pick_device("cpu") == pick_device(CPU) == CPU


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", torch.device("cuda", 1), "mps", "meta"])
def test_a_device_that_this_machine_lacks_is_a_run_error(name: torch.device | str) -> None:
    with pytest.raises(
        RunError, match=r"device is '\S+', but torch sees no such device on this machine; allowed: cpu\."
    ):
        pick_device(name)


@pytest.mark.usefixtures("no_gpu")
def test_a_name_that_is_not_a_device_is_a_usage_error_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match=r"device is 'cpuu'; allowed: auto, cpu\. Did you mean 'cpu'\?"):
        pick_device("cpuu")


def test_auto_and_cuda_are_the_gpu_of_the_local_rank(two_gpus: list[torch.device]) -> None:
    assert pick_device() == pick_device("cuda") == torch.device("cuda", 0)
    assert not two_gpus  # a library leaves the current device to its user
    assert pick_device("auto", 1) == torch.device("cuda", 1)
    assert two_gpus == [torch.device("cuda", 1)]
    with pytest.raises(
        RunError, match=r"process 2 of this machine has no GPU of its own: torch sees 2 GPUs. Start at most"
    ):
        pick_device("auto", 2)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_by_its_number_is_taken_whatever_the_rank() -> None:
    assert pick_device("cuda:1") == pick_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    with pytest.raises(RunError, match=r"'cuda:2'.*allowed: cpu, cuda, cuda:0, cuda:1\."):
        pick_device("cuda:2")


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:1"])
def test_float32_on_a_gpu_is_not_tf32(name: str) -> None:
    assert pick_device(name).type == "cuda"
    assert not torch.backends.cudnn.allow_tf32
