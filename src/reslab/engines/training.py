"""How a training step is computed on this machine: precision, kernel, compilation; picked by rule or by measurement.

Every engine computes the same function. Weights, the loss and all reported errors are float32 whatever the engine.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import RunError, UsageError
from reslab.models import Network, ResNet, build
from reslab.models.kernels import fused_norm_problem
from reslab.models.kernels.compiler import compiler
from reslab.models.normalization import use_fused_norm
from reslab.spec import ModelSpec

from .hardware import has_amx, has_bf16
from .race import race
from .rate_cache import cached_rates

COMPILE_FROM_ITERATIONS = 5000  # compiling costs about as much as some hundred steps
MEASURE_FROM_ITERATIONS = 2000  # measuring costs about a dozen
_ROUNDS = 5
_FAR_BEHIND = 1.3  # an engine that takes this many times the best one's seconds gets no further round
_MEASURED_BLOCKS = 2  # in each stage
_TIE = 0.03  # a later candidate must be better by this much, so that a toss-up falls the same way each time
_PIXELS = 2**20  # of all images together in a measured batch, unless that is fewer than 16 images


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """One way to compute a training step.

    Attributes:
        precision: "fp32" or "bf16" (autocast).
        fused_norm: Whether batch norm and ReLU run in the CPU kernel that fuses them.
        compiled: Whether each block is compiled by `torch.compile`.
        reason: Why this engine was picked, in words.
        rates: Images per second of each candidate by its label; {} where nothing was measured.
    """

    precision: str = "fp32"
    fused_norm: bool = False
    compiled: bool = False
    reason: str = "asked for"
    rates: dict[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What the engine does, in words: "bf16, fused norm"."""
        parts = [self.precision, "fused norm" if self.fused_norm else "", "compiled" if self.compiled else ""]
        return ", ".join(part for part in parts if part)


def candidates(
    *, precision: str, fused_norm: str, compile: str, device: torch.device, iterations: int, has_blocks: bool
) -> list[Engine]:
    """Return the engines that three settings allow on this machine.

    Args:
        precision: "fp32", "bf16" or "auto", as in `compute.precision`.
        fused_norm: "on", "off" or "auto", as in `compute.fused_norm`.
        compile: "on", "off" or "auto", as in `compute.compile`.
        device: Where the network is computed.
        iterations: Steps of the run; compiling does not pay for a short one.
        has_blocks: Whether the network is made of blocks, which are what is compiled.

    Returns:
        At least one engine; first the one that a rule picks without measurement.

    Raises:
        UsageError: Two settings exclude each other, or the network has nothing to compile.
        RunError: This machine cannot do what a setting asks for; the message says why.
    """
    _check_together(fused_norm, compile, has_blocks)
    # the compiler would replace the kernel that was asked for by its own
    compiles = _compile_choices(compile, device, iterations) if has_blocks and fused_norm != "on" else [False]
    kernels = _kernel_choices(fused_norm, device)
    engines = []
    for compiled in compiles:
        for kernel in [False] if compiled else kernels:  # the compiler fuses by itself
            for name in _precision_choices(precision, device):
                engines.append(Engine(precision=name, fused_norm=kernel, compiled=compiled))
    return engines


def _check_together(fused_norm: str, compile: str, has_blocks: bool) -> None:
    if compile == "on" and fused_norm == "on":
        raise UsageError(
            "compute.compile is 'on' and compute.fused_norm is 'on', but compiled code does not use the fused kernel. "
            "Set one of the two to auto or off."
        )
    if compile == "on" and not has_blocks:
        raise UsageError(
            "compute.compile is 'on', but only residual and plain blocks can be compiled, and this network has none. "
            "Set it to auto or off."
        )


def _precision_choices(choice: str, device: torch.device) -> list[str]:
    is_native = has_bf16(device)
    if choice == "bf16" and not is_native:
        raise RunError(f"compute.precision is 'bf16', but this {device.type} has no native bfloat16; use fp32 or auto.")
    if choice == "auto":
        return ["bf16", "fp32"] if is_native else ["fp32"]
    return [choice]


def _kernel_choices(choice: str, device: torch.device) -> list[bool]:
    problem = "it runs on CPUs only" if device.type != "cpu" else fused_norm_problem() if choice != "off" else None
    if choice == "on" and problem:
        raise RunError(f"compute.fused_norm is 'on', but {problem}; set it to auto or off.")
    if choice == "auto":
        return [False] if problem else [True, False]
    return [choice == "on"]


def _compile_choices(choice: str, device: torch.device, iterations: int) -> list[bool]:
    """The first is what a rule says: on CPUs without AMX, eager oneDNN was faster (docs/lab-notes.md, 2026-11-21)."""
    has_triton = device.type != "cuda" or find_spec("triton") is not None
    has_compiler = compiler() is not None and has_triton  # a GPU's kernels are launched by compiled code too
    if choice == "on" and not has_compiler:
        missing = "C++ compiler (g++)" if has_triton else "triton"
        raise RunError(
            f"compute.compile is 'on', but this machine has no {missing}. Install it, or set compute.compile to auto "
            "or off."
        )
    if choice != "auto":
        return [choice == "on"]
    if not has_compiler or iterations < COMPILE_FROM_ITERATIONS:
        return [False]
    return [True, False] if device.type == "cuda" or has_amx() else [False]


def pick(
    engines: list[Engine],
    spec: ModelSpec,
    *,
    size: tuple[int, int],
    batch_size: int,
    device: torch.device,
    iterations: int,
) -> Engine:
    """Pick the fastest engine by measurement, or the first one for a run that is too short to measure.

    Args:
        engines: The candidates, as `candidates` returns them.
        spec: The network.
        size: Height and width of the training images, in pixels.
        batch_size: Images that go through the network together.
        device: Where the network is computed.
        iterations: Steps of the run.

    Returns:
        The engine, with the reason and the rates that were measured.
    """
    if len(engines) == 1:
        return replace(engines[0], reason="the only one that was left to choose")
    if iterations < MEASURE_FROM_ITERATIONS:
        return replace(engines[0], reason="by rule: the run is too short to measure")
    images = min(batch_size, max(16, _PIXELS // (size[0] * size[1])))
    shape = (images, spec.in_channels, *size)
    measured = _stand_in(spec)
    facts = [asdict(measured), shape, [engine.label for engine in engines]]
    rates = cached_rates("engines", facts, device, lambda: training_rates(engines, measured, shape, device))
    if not rates:
        return replace(engines[0], reason="by rule: nothing could be measured")
    best = engines[0]
    for engine in engines[1:]:
        if rates.get(engine.label, 0) > rates.get(best.label, 0) * (1 + _TIE):
            best = engine
    # the rates are printed: without these words they would look like a promise for the whole network
    where = "measured" if measured == spec else f"measured with at most {_MEASURED_BLOCKS} blocks in a stage"
    return replace(best, reason=f"{where}: the fastest here", rates=rates)


def _stand_in(spec: ModelSpec) -> ModelSpec:
    """Return a network of the same layers, but fewer: engines rank alike on it, in less time and memory."""
    return replace(spec, num_blocks=tuple(min(number, _MEASURED_BLOCKS) for number in spec.num_blocks))


def prepare(model: Network, engine: Engine) -> Network:
    """Make a network compute with an engine.

    Args:
        model: The network, changed in place.
        engine: The engine. Its precision is not applied: that is the caller's autocast.

    Returns:
        The same network.
    """
    use_fused_norm(model, engine.fused_norm)
    if engine.compiled and isinstance(model, ResNet):
        compile_blocks(model)
    return model


def compile_blocks(model: ResNet) -> None:
    """Compile each block by itself, so that the time to compile does not grow with depth; state-dict keys stay."""
    # blocks of one kind and size share their code, but every shape, mode and precision counts against the limit
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
    for block in model.blocks():
        block.compile(dynamic=False)


# --- measurement ------------------------------------------------------------------------------------------------------


def training_rates(
    engines: list[Engine], spec: ModelSpec, shape: tuple[int, int, int, int], device: torch.device
) -> dict[str, float]:
    """Measure how fast each engine makes training steps.

    Args:
        engines: What to measure.
        spec: The network.
        shape: Shape of a batch: images, channels, height, width.
        device: Where the network is computed.

    Returns:
        Images per second by the engine's label; without the engines that fail on this machine.
    """
    steps = {engine.label: partial(make_step, engine, spec, shape, device) for engine in engines}
    return race(steps, device, images=shape[0], rounds=_ROUNDS, far_behind=_FAR_BEHIND)


def make_step(
    engine: Engine, spec: ModelSpec, shape: tuple[int, int, int, int], device: torch.device
) -> Callable[[], Tensor]:
    """Make a training step on noise to be timed; torch's random generator stays as it was.

    Args:
        engine: How it is computed.
        spec: The network.
        shape: Shape of the batch: images, channels, height, width.
        device: Where the network is computed.

    Returns:
        A function that makes one forward and backward pass and returns the loss, a scalar.
    """
    state = torch.get_rng_state()
    model = build(spec).to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    images = torch.randn(shape, device=device).contiguous(memory_format=torch.channels_last)
    torch.set_rng_state(state)
    labels = torch.arange(shape[0], device=device) % spec.num_classes
    prepare(model, engine)

    def step() -> Tensor:
        model.zero_grad()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=engine.precision == "bf16"):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        return loss.detach()

    return step
