"""The engines a trained network can run on. Each maker returns images -> logits, both float32 on the CPU or a GPU."""

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import RunError
from reslab.models import Network
from reslab.models.folding import fold_batch_norm
from reslab.models.kernels.compiler import compiler

from .hardware import has_bf16
from .race import race
from .rate_cache import cached_rates

Forward = Callable[[Tensor], Tensor]

_ROUNDS = 4
_PAUSE_SECONDS = 0.05  # the threads of one engine spin on for a while and would slow the next


def _torch_fp32(model: Network, example: Tensor) -> Forward:
    folded = fold_batch_norm(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _inference(folded)


def _torch_bf16(model: Network, example: Tensor) -> Forward:
    folded = fold_batch_norm(model).to(dtype=torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _inference(folded, torch.bfloat16)


def _torch_compiled(model: Network, example: Tensor) -> Forward:
    import torch._inductor.config as inductor

    dtype = torch.bfloat16 if has_bf16(example.device) else torch.float32
    folded = fold_batch_norm(model).to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    compiled = torch.compile(folded)
    run = _inference(compiled, dtype)  # type: ignore[arg-type]

    def frozen(images: Tensor) -> Tensor:
        with inductor.patch(freezing=True):  # weights become constants, laid out as the kernels want them
            return run(images)

    frozen(example)
    return frozen


def _inference(model: nn.Module, dtype: torch.dtype = torch.float32) -> Forward:
    @torch.inference_mode()
    def run(images: Tensor) -> Tensor:
        return model(images.to(dtype).contiguous(memory_format=torch.channels_last)).float()

    return run


def onnx_bytes(model: Network, example: Tensor) -> bytes:
    """Return the network as ONNX: input "images" [batch, channels, height, width], output "logits" [batch, classes]."""
    example = torch.cat([example, example])[:2].cpu()  # a batch of one would be taken for a constant
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # of the exporter about its own code
        program = torch.onnx.export(
            fold_batch_norm(model).cpu(),
            (example,),
            dynamo=True,
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            input_names=["images"],
            output_names=["logits"],
            verbose=False,
        )
        assert program is not None
        path = Path(folder, "model.onnx")
        program.save(path)
        return path.read_bytes()


def _onnxruntime(model: Network, example: Tensor) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(onnx_bytes(model, example), options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {"images": images.contiguous().numpy()})[0])

    return run


def _openvino(model: Network, example: Tensor) -> Forward:
    import openvino

    core: Any = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if has_bf16(example.device) else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, on all threads
    }
    compiled = core.compile_model(core.read_model(onnx_bytes(model, example)), "CPU", settings)

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(next(iter(compiled(images.contiguous().numpy()).values())).copy())

    return run


MAKERS: dict[str, Callable[[Network, Tensor], Forward]] = {
    "torch-fp32": _torch_fp32,
    "torch-bf16": _torch_bf16,
    "torch-compiled": _torch_compiled,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}
_NEEDS = {"onnxruntime": ("onnxruntime", "onnxscript"), "openvino": ("openvino", "onnxscript")}
_EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}


def problem(engine: str, device: torch.device) -> str | None:
    """Return why an engine cannot be used here, and what to do about it; None where it can."""
    missing = [package for package in _NEEDS.get(engine, ()) if find_spec(package) is None]
    if missing:
        return f"{', '.join(missing)} is missing; install it with: pip install 'reslab[{_EXTRAS[engine]}]'"
    if engine in _NEEDS and device.type != "cpu":
        return "it runs on the CPU here"
    if engine == "torch-bf16" and not has_bf16(device):
        return f"this {device.type} has no native bfloat16"
    if engine == "torch-compiled" and device.type == "cpu" and compiler() is None:
        return "there is no C++ compiler (g++) here"
    return None


def make(engine: str, model: Network, example: Tensor) -> Forward:
    """Return the network on an engine. example: float32 [n, channels, height, width] on the device to run on.

    Raises RunError, with the reason, where the engine cannot be used.
    """
    reason = problem(engine, example.device)
    if reason:
        raise RunError(f"engine {engine!r} cannot be used: {reason}.")
    try:
        forward = MAKERS[engine](model, example)
        _check_logits(forward(example), (len(example), model.spec.num_classes))
        return forward
    except RunError:
        raise
    except Exception as error:  # whatever a foreign engine raises
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(f"engine {engine!r} does not run here: {first}") from error


def _check_logits(logits: Tensor, shape: tuple[int, int]) -> None:
    # some engines answer nothing at once where the processor lacks what they were set to: the fastest, if it counted
    if tuple(logits.shape) != shape:
        raise ValueError(f"it returns logits of shape {list(logits.shape)}, not {list(shape)}")


# --- measurement ------------------------------------------------------------------------------------------------------


def inference_rates(model: Network, example: Tensor) -> dict[str, float]:
    """Return images per second of each engine of this machine for batches like `example`; measured once and kept."""
    engines = [name for name in MAKERS if problem(name, example.device) is None]
    facts = [asdict(model.spec), list(example.shape), engines]
    return cached_rates("inference", facts, example.device, lambda: _measured_rates(model, engines, example))


def _measured_rates(model: Network, engines: list[str], example: Tensor) -> dict[str, float]:
    def maker(name: str) -> Callable[[], Callable[[], Tensor]]:
        return lambda: partial(make(name, model, example), example)

    makers = {name: maker(name) for name in engines}
    return race(makers, example.device, images=len(example), rounds=_ROUNDS, pause_seconds=_PAUSE_SECONDS)
