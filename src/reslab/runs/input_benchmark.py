"""How fast images get from the disk to the network, stage by stage; which stage limits a run, and what to do."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from reslab.data import ArrayDataset, Dataset
from reslab.data.dataset import FileDataset
from reslab.data.draws import SAMPLE, permutation
from reslab.data.images.decode import decode
from reslab.data.stream import Batch, Stream
from reslab.engines.timing import synchronize
from reslab.runs.context import RunContext
from reslab.runs.train import make_trainer
from reslab.system.threads import map_ahead

_ROUNDS = 3
_NEAR = 0.9  # a run that reaches this share of the model's own rate is limited by the model

_ADVICE = {
    "disk": "use a faster disk, or make the files smaller (a shorter side of 320 is enough for crops of 224)",
    "decode": "make the files smaller once (a shorter side of 320, quality 90), or use more cores",
    "augment": "use a simpler augmentation, or more cores",
    "transfer": "use larger batches",
    "model": "faster input would not help; use a smaller network, smaller images or a faster device",
    "cores": "decoding and the network share the cores; use smaller files or more cores (a faster disk does not help)",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class InputBench:
    """What `bench_input` measured.

    Attributes:
        rates: Images per second of each stage alone.
        together: Images per second of training, with all stages running at once.
        waited: The share of that training's time that was spent waiting for batches, from 0 to 1.
        bottleneck: The stage that limits training.
        advice: What to do about it, in words.
    """

    rates: dict[str, float]
    together: float
    waited: float
    bottleneck: str
    advice: str


class FixedStream(Stream):
    """The same batch at every step, so that the network never waits for data."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(len(batch.labels), batch_size=len(batch.labels), seed=0, rank=0, world_size=1)
        self._batch = batch

    def batch(self, step: int) -> Batch:
        """Return the batch."""
        return self._batch


def bench_input(context: RunContext, *, seconds: float = 5.0) -> InputBench:
    """Measure each stage of the input, the network alone, and training with both.

    Args:
        context: What would be trained. The weights that are trained meanwhile are thrown away.
        seconds: Roughly how long to measure each stage.

    Returns:
        The rates, and which stage limits training.
    """
    trainer = make_trainer(context)
    stream, size = trainer.stream, context.config.train.batch_size
    end = context.config.train.iterations  # steps beyond it, where images that grow have reached their full size
    fixed = FixedStream(stream.batch(end))
    steps = {"stream": iter(range(end + 1, end + 10**6)), "together": iter(range(end + 10**6, end + 10**9))}

    def stream_only() -> None:
        stream.batch(next(steps["stream"]))
        synchronize(context.device)

    def train_on(source: Stream) -> None:
        trainer.stream, trainer.state.step = source, next(steps["together"])
        trainer.train_step()
        synchronize(context.device)

    stages: dict[str, tuple[Callable[[], object], int]] = _file_stages(context.splits.train, size)
    stages["augment"] = (stream_only, size)
    # images in memory are on the GPU already
    if context.device.type == "cuda" and not isinstance(context.splits.train, ArrayDataset):
        pixels = torch.zeros(fixed.batch(0).images.shape, dtype=torch.uint8)  # they are normalised on the GPU
        stages["transfer"] = (lambda: _transfer(pixels, context.device), size)
    stages["model"] = (lambda: train_on(fixed), size)
    rates = dict.fromkeys(stages, 0.0)
    for _ in range(_ROUNDS):
        for name, (call, images) in stages.items():
            rates[name] = max(rates[name], images / _seconds_per_call(call, seconds / _ROUNDS))
    train_on(stream)  # its first batch was not decoded ahead
    trainer.state.waited_seconds = 0.0
    start = time.monotonic()
    together = size / _seconds_per_call(lambda: train_on(stream), seconds)
    waited = trainer.state.waited_seconds / (time.monotonic() - start)
    stream.close()
    bottleneck = _bottleneck(rates, together)
    rounded = {name: round(rate, 1) for name, rate in rates.items()}
    return InputBench(
        rates=rounded,
        together=round(together, 1),
        waited=round(waited, 3),
        bottleneck=bottleneck,
        advice=_ADVICE[bottleneck],
    )


def _bottleneck(rates: dict[str, float], together: float) -> str:
    """Return the slowest stage; "cores" where the input's threads slow the network down."""
    slowest = min(rates, key=lambda name: rates[name])
    return "cores" if slowest == "model" and together < _NEAR * rates["model"] else slowest


def _file_stages(train: Dataset, size: int) -> dict[str, tuple[Callable[[], object], int]]:
    """Return the stages that read and decode, with as many threads as the stream; {} for images in memory."""
    if isinstance(train, ArrayDataset):
        return {}
    files = _batches_of_files(train, size)
    contents = map_ahead(Path.read_bytes, files, ahead=0)
    pictures = map_ahead(lambda path: decode(path, train.num_channels), files, ahead=0)
    return {"disk": (lambda: next(contents), size), "decode": (lambda: next(pictures), size)}


def _batches_of_files(train: FileDataset, size: int) -> Iterator[list[Path]]:
    number = 0
    while True:
        order = permutation(0, SAMPLE, number, len(train)).tolist()
        number += 1
        for start in range(0, max(len(order) - size, 0) + 1, size):
            chosen = order[start : start + size]
            yield [train.paths[index] for index in (chosen * size)[:size]]  # also of a set smaller than a batch


def _transfer(pixels: torch.Tensor, device: torch.device) -> None:
    pixels.to(device)
    synchronize(device)


def _seconds_per_call(call: Callable[[], object], seconds: float) -> float:
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < seconds:
        call()
        calls += 1
    return (time.perf_counter() - start) / calls


def describe_context(context: RunContext) -> str:
    """Describe in one line what was measured."""
    config = context.config
    return (
        f"{config.recipe} on {context.splits.train.name}: batches of {config.train.batch_size}, {context.device.type}, "
        f"{torch.get_num_threads()} threads, engine {context.engine.label}"
    )
