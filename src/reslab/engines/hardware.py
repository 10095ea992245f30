"""What torch computes on: threads and devices, next to the facts of the machine."""

import torch

from reslab.errors import RunError, UsageError, counted, did_you_mean
from reslab.system import environment
from reslab.system.environment import Cuda, Machine, cpu_flags, onednn_limit

# limits of oneDNN below which it computes bfloat16 by float32 or by plain loops: 3 to 10 times slower than float32
_LIMITS_WITHOUT_BF16 = {"sse41", "avx", "avx2", "avx2_vnni", "avx2_vnni_2", "avx512_core", "avx512_core_vnni"}
_LIMITS_WITHOUT_AMX = {*_LIMITS_WITHOUT_BF16, "avx512_core_bf16", "avx512_core_fp16", "avx10_1_512", "avx10_2"}


def collect_environment() -> Machine:
    """Collect versions, processor, threads, source and GPU, without the names of machine and user."""
    cuda = None
    if torch.cuda.is_available():
        cuda = Cuda(name=torch.cuda.get_device_name(), version=torch.version.cuda)
    return environment.collect(torch.get_num_threads(), cuda)


def has_bf16(device: torch.device) -> bool:
    """Return whether the device itself computes in bfloat16, without emulation, and may be used for it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"}) and onednn_limit() not in _LIMITS_WITHOUT_BF16


def has_amx() -> bool:
    """Return whether the processor has AMX's tiles, and oneDNN may use them."""
    return "amx_tile" in cpu_flags() and onednn_limit() not in _LIMITS_WITHOUT_AMX


def pick_device(name: torch.device | str = "auto", local_rank: int = 0) -> torch.device:
    """Return the device to compute on, checked against what torch sees on this machine.

    On CUDA it also turns TF32 off for this process. By default torch lets cuDNN round a convolution's inputs to TF32
    (10 bits of mantissa): then neither a tolerance of 1e-5 nor the word "fp32" in a record would hold.

    Args:
        name: "auto" (a GPU where torch sees one, else the CPU), "cpu", "cuda", or one GPU such as "cuda:1".
        local_rank: This process's number on its machine: which GPU "auto" and "cuda" mean.

    Returns:
        The device; a CUDA GPU with its number.

    Raises:
        UsageError: No device has this name.
        RunError: This machine does not have the device, or has no GPU for this rank.
    """
    visible = _visible_devices()
    device = _parse_device("cuda" if str(name) == "auto" and "cuda" in visible else name, visible)
    if str(device) not in visible:
        raise RunError(
            f"device is {str(name)!r}, but torch sees no such device on this machine; allowed: {', '.join(visible)}."
        )
    if device.type == "cuda":
        device = _own_gpu(local_rank) if device.index is None else device
        torch.backends.cudnn.allow_tf32 = False
    return device


def _parse_device(name: torch.device | str, visible: list[str]) -> torch.device:
    try:
        return torch.device("cpu" if str(name) in ("auto", "cpu:0") else name)
    except (RuntimeError, TypeError):
        allowed = ["auto", *visible]
        raise UsageError(
            f"device is {str(name)!r}; allowed: {', '.join(allowed)}.{did_you_mean(name, allowed)}"
        ) from None


def _visible_devices() -> list[str]:
    """The CPU, and this machine's accelerator (CUDA, or whatever else this torch is built for) with its numbers."""
    if torch.cuda.is_available():
        kind, count = "cuda", torch.cuda.device_count()
    elif torch.accelerator.is_available() and (accelerator := torch.accelerator.current_accelerator()) is not None:
        kind, count = accelerator.type, torch.accelerator.device_count()
    else:
        return ["cpu"]
    return ["cpu", kind, *(f"{kind}:{number}" for number in range(count))]


def _own_gpu(local_rank: int) -> torch.device:
    count = torch.cuda.device_count()
    if local_rank >= count:
        raise RunError(
            f"process {local_rank} of this machine has no GPU of its own: torch sees {counted(count, 'GPU')}. Start at "
            f"most {counted(count, 'process')} on this machine, or set the device to cpu."
        )
    device = torch.device("cuda", local_rank)
    if local_rank > 0:  # NCCL and every "cuda" without a number mean the current device, which is 0 unless set
        torch.cuda.set_device(device)
    return device
