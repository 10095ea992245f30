"""The engines that a trained network can run on: torch, compiled torch, ONNX Runtime, OpenVINO."""

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

Forward = Callable[[Tensor], Tensor]  # float32 images [n, channels, height, width] -> float32 logits [n, num_classes]

_ROUNDS = 4
_PAUSE_SECONDS = 0.05  # one engine's threads keep spinning for a while and would slow the next engine


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
    """Return the network as an ONNX model, with batch norm folded into the convolutions.

    Args:
        model: The network.
        example: float32 images [n, channels, height, width]; the ONNX model takes any n of the same size.

    Returns:
        The bytes of a file with input "images" [batch, channels, height, width] and output "logits"
        [batch, num_classes], both float32.
    """
    example = torch.cat([example, example])[:2].cpu()  # the exporter would take a batch of one for a constant
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the exporter warns about its own code
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
    """Return why an engine cannot be used on this machine, and what to do about it.

    Args:
        engine: A key of `MAKERS`.
        device: Where the network is to be computed.

    Returns:
        The end of a sentence without its full stop; None for an engine that can be used.
    """
    missing = [package for package in _NEEDS.get(engine, ()) if find_spec(package) is None]
    if missing:
        return f"{', '.join(missing)} is missing; install it with: pip install 'reslab[{_EXTRAS[engine]}]'"
    if engine in _NEEDS and device.type != "cpu":
        return f"reslab runs it on the CPU only, and the device is {device.type}"
    if engine == "torch-bf16" and not has_bf16(device):
        return f"this {device.type} has no native bfloat16"
    if engine == "torch-compiled" and device.type == "cpu" and compiler() is None:
        return "this machine has no C++ compiler; install g++"
    return None


def make(engine: str, model: Network, example: Tensor) -> Forward:
    """Put a network on an engine.

    Args:
        engine: A key of `MAKERS`.
        model: The network, on the device of `example`.
        example: float32 images [n, channels, height, width], on the device to run on; the engine is made for batches
            like this one.

    Returns:
        A function from float32 images [n, channels, height, width] to float32 logits [n, num_classes].

    Raises:
        RunError: The engine cannot be used on this machine; the message says why.
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
    except Exception as error:  # whatever another library raises
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(f"engine {engine!r} fails on this machine: {first}") from error


def _check_logits(logits: Tensor, shape: tuple[int, int]) -> None:
    # some engines answer nothing at once where the processor lacks what they were set to: the fastest, if it counted
    if tuple(logits.shape) != shape:
        raise ValueError(f"it returns logits of shape {list(logits.shape)}, not {list(shape)}")


# --- measurement ------------------------------------------------------------------------------------------------------


def inference_rates(model: Network, example: Tensor) -> dict[str, float]:
    """Return how fast each engine of this machine runs a network; measured once, then read from the cache.

    Args:
        model: The network, on the device of `example`.
        example: A batch of the size and on the device to measure: float32 [n, channels, height, width].

    Returns:
        Images per second by the engine's name; without the engines that fail.
    """
    engines = [name for name in MAKERS if problem(name, example.device) is None]
    facts = [asdict(model.spec), list(example.shape), engines]
    return cached_rates("inference", facts, example.device, lambda: _measured_rates(model, engines, example))


def _measured_rates(model: Network, engines: list[str], example: Tensor) -> dict[str, float]:
    def maker(name: str) -> Callable[[], Callable[[], Tensor]]:
        return lambda: partial(make(name, model, example), example)

    makers = {name: maker(name) for name in engines}
    return race(makers, example.device, images=len(example), rounds=_ROUNDS, pause_seconds=_PAUSE_SECONDS)
