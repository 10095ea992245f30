"""What a run is made of, once its config met its data and its machine."""

import logging
from dataclasses import dataclass

import torch
from torch import nn

from reslab import builders
from reslab.config import RunConfig
from reslab.data import Dataset, Splits
from reslab.distributed import World
from reslab.engines.training import Engine
from reslab.errors import RunError
from reslab.evaluation.evaluate import evaluate_on
from reslab.evaluation.metrics import Evaluation
from reslab.runs.data import RunData
from reslab.spec import PreprocessSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run is made of, once its config met its data and its machine."""

    config: RunConfig
    data: RunData
    preprocess: PreprocessSpec
    device: torch.device
    world: World
    engine: Engine

    @property
    def splits(self) -> Splits:
        return self.data.splits


def prepare(
    config: RunConfig,
    device: torch.device,
    world: World,
    *,
    data: RunData | None = None,
    engine: Engine | None = None,
) -> RunContext:
    """Fit the config's network to its data, and pick the engine, unless it is the one of an earlier start.

    data: what the run settled on; None opens it as it is, without looking at each file.
    """
    data = data or RunData(builders.build_splits(config.data))
    splits = data.splits
    matched = builders.match_model_to_data(config, splits.train)
    if matched.model != config.model:
        log.info("%s has %d classes and %d channel(s): the network was given as many.",
                 splits.train.name, matched.model.num_classes, matched.model.in_channels)  # fmt: skip
    if config.train.monitor != "none":
        _check_monitor(config.train.monitor, splits)  # say now, not after hours, that it is missing
    preprocess = builders.build_preprocess(config.data, splits.train, config.weights)
    chosen = builders.choose_engine(matched, preprocess, device, world, before=engine)
    log.info("engine: %s (%s)%s", chosen.label, chosen.reason, _in_words(chosen.rates))
    return RunContext(matched, data, preprocess, device, world, chosen)


def _check_monitor(split: str, splits: Splits) -> None:
    try:
        splits.part(split)
    except RunError as error:
        raise RunError(
            f"{error} train.monitor is {split!r}: hold the part out of the training images with --data.{split}_size N, "
            "or set another --train.monitor."
        ) from None


def _in_words(rates: dict[str, float]) -> str:
    listed = "; ".join(f"{label}: {rate:.0f} images/s" for label, rate in rates.items())
    return f": {listed}." if listed else "."


def evaluate_split(model: nn.Module, dataset: Dataset, setting: RunContext) -> Evaluation:
    """Evaluate a network on one part of the run's data."""
    return evaluate_on(model, dataset, setting.preprocess, setting.device, setting.world)[0]
