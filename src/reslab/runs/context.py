"""What a run is made of: its config fitted to the data, and how this machine computes it."""

import logging
from dataclasses import dataclass

import torch

from reslab import builders
from reslab.config import RunConfig
from reslab.data import Dataset, Splits
from reslab.distributed import World
from reslab.engines.hardware import pick_device
from reslab.engines.training import Engine
from reslab.errors import RunError, counted
from reslab.evaluation import Evaluation, evaluate
from reslab.models import Network
from reslab.runs.data import RunData
from reslab.spec import PreprocessSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunContext:
    """A config fitted to its data, and what this machine computes it with.

    Attributes:
        config: With the classes and channels of the data.
        data: What the run trains and is evaluated on.
        preprocess: How its images become the network's input.
        device: What the network is computed on.
        world: This process's place among all that train together.
        engine: How the training step is computed.
    """

    config: RunConfig
    data: RunData
    preprocess: PreprocessSpec
    device: torch.device
    world: World
    engine: Engine

    @property
    def splits(self) -> Splits:
        """The parts of the data."""
        return self.data.splits

    def evaluate(self, model: Network, dataset: Dataset) -> Evaluation:
        """Evaluate a network on one part of the run's data.

        Args:
            model: The network, on the run's device.
            dataset: The part.

        Returns:
            The counts, summed over all processes.
        """
        return evaluate(model, dataset, self.preprocess, world=self.world)


def make_context(
    config: RunConfig, data: RunData, device: torch.device, world: World, *, engine: Engine | None = None
) -> RunContext:
    """Fit the config's network to the data, and pick the engine.

    Args:
        config: What to train, as asked for.
        data: What the run trains on.
        device: What the network is computed on.
        world: This process's place among all that train together.
        engine: The engine of the run's last session, kept where this machine still has it.

    Returns:
        What the run is made of.

    Raises:
        RunError: `evaluation.monitor` names a part that the data does not have, or the engine does not work here.
        UsageError: The data does not take a setting.
    """
    splits = data.splits
    fitted = builders.match_model_to_data(config, splits.train)
    if fitted.model != config.model:
        log.info("the network gets the %d classes and %s of %s.",
                 fitted.model.num_classes, counted(fitted.model.in_channels, "channel"), splits.train.name)  # fmt: skip
    _check_monitor(config.evaluation.monitor, splits)
    preprocess = builders.build_preprocess(config.data, splits.train, config.weights)
    engine = builders.choose_engine(fitted, preprocess, device, world, before=engine)
    log.info("engine: %s (%s)%s", engine.label, engine.reason, _in_words(engine.rates))
    return RunContext(fitted, data, preprocess, device, world, engine)


def context_for_timing(config: RunConfig) -> RunContext:
    """Make the context of a config to time instead of train; no image file is checked.

    Raises:
        RunError: The data is missing or damaged, or the engine does not work here.
        UsageError: The data does not take a setting.
    """
    data = RunData(builders.build_splits(config.data))
    return make_context(config, data, pick_device(config.compute.device), World())


def _check_monitor(split: str, splits: Splits) -> None:
    """Check at the start, not at the first evaluation, that the part to monitor exists."""
    if split == "none":
        return
    try:
        splits.part(split)
    except RunError as error:
        raise RunError(
            f"{error} evaluation.monitor is {split!r}: hold the part out of the training images with "
            f"data.{split}_size, or set evaluation.monitor to another part or none."
        ) from None


def _in_words(rates: dict[str, float]) -> str:
    listed = "; ".join(f"{label}: {rate:.0f} images/s" for label, rate in rates.items())
    return f": {listed}." if listed else "."
