"""What `reslab train-folder` trains: read the data and the machine, and let the folder recipe choose a config."""

import statistics
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from reslab.builders import build_splits
from reslab.config import DataConfig
from reslab.data.dataset import FileDataset
from reslab.data.draws import SAMPLE, permutation
from reslab.data.images.decode import decode
from reslab.engines import training as engine
from reslab.engines.timing import seconds_of
from reslab.errors import RunError, UsageError
from reslab.recipes.folder import FolderFacts, FolderOptions, FolderPlan, plan_folder
from reslab.spec import ModelSpec
from reslab.weights.transfer import read_start

_MEASURED = 200  # pictures whose size is read
_TIMED_IMAGES, _TIMED_STEPS = 32, 4


def plan_for_data(
    path: Path,
    options: FolderOptions,
    *,
    kind: str = "auto",
    channels: int | None = None,
    is_alone: bool = True,
    device: str = "auto",
) -> FolderPlan:
    """Choose a config for the photos at `path`, with the reasons for everything in it.

    Args:
        path: A folder of photos, or a CSV list of them.
        options: What is decided already; `weights` is a model file, whose network and size are then taken.
        kind: The format of the data, as in `data.kind`.
        channels: Channels of the pictures, as in `data.channels`.
        is_alone: Whether no other process trains with this one. With others, nothing is measured, so that all make
            the same plan.
        device: auto, cpu or cuda, as in `compute.device`.

    Raises:
        RunError: The data or the model file is missing or damaged.
        UsageError: The data is not photos, or an option cannot be.
    """
    if options.weights is not None:
        file = read_start(Path(options.weights))
        options = replace(options, start=file.spec, start_size=file.card.preprocess.height)
    has_gpu = torch.cuda.is_available() and device != "cpu"
    config = DataConfig(kind=kind, path=str(path), channels=channels)  # type: ignore[arg-type]
    facts = _facts(config, has_gpu)
    rate = partial(measured_rate, device=torch.device("cuda" if has_gpu else "cpu"))
    return plan_folder(facts, str(path), options, rate if is_alone else None)


def _facts(config: DataConfig, has_gpu: bool) -> FolderFacts:
    splits = build_splits(config, for_new_run=True)
    train = splits.train
    if not isinstance(train, FileDataset):
        raise UsageError(
            f"{config.path} holds {train.name}, images of one size in memory. A config can be planned for photos only; "
            "'reslab recipes' lists recipes for other data."
        )
    counts = torch.bincount(train.labels, minlength=len(train.class_names))
    return FolderFacts(
        num_images=len(train),
        num_classes=len(train.class_names),
        smallest_class=int(counts.min()),
        largest_class=int(counts.max()),
        short_side=median_short_side(train),
        parts=tuple(name for name in ("validation", "test") if getattr(splits, name) is not None),
        channels=train.num_channels,
        has_gpu=has_gpu,
    )


def median_short_side(dataset: FileDataset) -> int:
    """Return the median shorter side, in pixels, of at most 200 pictures; files that cannot be read do not count.

    Raises:
        RunError: None of the files can be read.
    """
    sides = []
    for index in permutation(0, SAMPLE, 0, len(dataset))[:_MEASURED].tolist():
        if not dataset.paths[index].is_file():  # a pipe would never end
            continue
        try:
            sides.append(min(decode(dataset.paths[index], dataset.num_channels).shape[1:]))
        except RunError:
            continue  # named when training reads every file
    if not sides:
        raise RunError(f"{dataset.name}: none of {min(len(dataset), _MEASURED)} files could be read as a picture.")
    return int(statistics.median(sides))


def measured_rate(spec: ModelSpec, size: int, batch_size: int, *, device: torch.device) -> float:
    """Measure how fast this machine trains a network, by a few steps on noise.

    Args:
        spec: The network.
        size: Side of the images, in pixels.
        batch_size: Images of a batch; at most 32 are measured.
        device: Where to compute.

    Returns:
        Images per second.
    """
    candidates = engine.candidates(
        precision="auto", fused_norm="auto", compile="off", device=device, iterations=0, has_blocks=True
    )
    count = min(batch_size, _TIMED_IMAGES)
    step = engine.make_step(candidates[0], spec, (count, spec.in_channels, size, size), device)
    seconds = min(seconds_of(step, device) for _ in range(_TIMED_STEPS))
    return count / seconds
