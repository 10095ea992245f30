"""What `reslab train folder` trains: looks at the data and the machine, and asks the folder recipe for a plan."""

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
from reslab.recipes.folder import FolderFacts, FolderOptions, Plan, plan_folder
from reslab.spec import ModelSpec
from reslab.weights.transfer import read_start

_LOOKED_AT = 200  # pictures whose size is looked at
_TIMED_IMAGES, _TIMED_STEPS = 32, 4


def plan(
    path: Path,
    wishes: FolderOptions,
    *,
    kind: str = "auto",
    channels: int | None = None,
    is_alone: bool = True,
    device: str = "auto",
) -> Plan:
    """Return a config for the folder of photos (or CSV list) at `path`, with the reasons for everything in it.

    kind: what the data is, instead of recognising it.
    wishes: what is decided already; its `weights` is a model file, whose network and size are then taken.
    device: auto, cpu or cuda, as in `compute.device`.
    is_alone: no other process trains with this one; with others, nothing is measured, so that all make the same plan.

    Raises RunError for data that is missing or damaged, or a model file that is none; UsageError for data that is no
    photos, and for wishes that cannot be.
    """
    if wishes.weights is not None:
        file = read_start(Path(wishes.weights))
        wishes = replace(wishes, start=file.spec, start_size=file.card.preprocess.height)
    splits = build_splits(DataConfig(kind=kind, path=str(path), channels=channels), begins=True)  # type: ignore[arg-type]
    train = splits.train
    if not isinstance(train, FileDataset):
        raise UsageError(
            f"{path} holds {train.name}, images of one size in memory; 'folder' is for photos: "
            "'reslab recipes' lists what else there is."
        )
    has_gpu = torch.cuda.is_available() and device != "cpu"
    counts = torch.bincount(train.labels, minlength=len(train.class_names))
    parts = tuple(name for name in ("validation", "test") if getattr(splits, name) is not None)
    facts = FolderFacts(
        num_images=len(train),
        num_classes=len(train.class_names),
        smallest_class=int(counts.min()),
        largest_class=int(counts.max()),
        short_side=median_short_side(train),
        parts=parts,
        channels=train.num_channels,
        has_gpu=has_gpu,
    )
    rate = partial(measured_rate, device=torch.device("cuda" if has_gpu else "cpu"))
    return plan_folder(facts, str(path), wishes, rate if is_alone else None)


def median_short_side(dataset: FileDataset) -> int:
    """Return the median shorter side in pixels of at most 200 pictures; files that cannot be read do not count."""
    sides = []
    for index in permutation(0, SAMPLE, 0, len(dataset))[:_LOOKED_AT].tolist():
        if not dataset.paths[index].is_file():  # a pipe would never end
            continue
        try:
            sides.append(min(decode(dataset.paths[index], dataset.num_channels).shape[1:]))
        except RunError:
            continue  # named when training looks at every file
    if not sides:
        raise RunError(
            f"{dataset.name}: of {min(len(dataset), _LOOKED_AT)} files that were looked at, none can be read."
        )
    return int(statistics.median(sides))


def measured_rate(spec: ModelSpec, size: int, batch_size: int, *, device: torch.device) -> float:
    """Return images per second of a training step of this network here, from a few steps on noise."""
    found = engine.candidates(
        precision="auto", fused_norm="auto", compile="off", device=device, iterations=0, has_blocks=True
    )
    count = min(batch_size, _TIMED_IMAGES)
    step = engine.make_step(found[0], spec, (count, spec.in_channels, size, size), device)
    took = min(seconds_of(step, device) for _ in range(_TIMED_STEPS))
    return count / took
