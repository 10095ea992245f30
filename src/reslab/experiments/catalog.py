"""All experiments by name, in the order of the paper's argument."""

from reslab.errors import UsageError, did_you_mean

from .claims import (
    complexity,
    construction,
    convergence,
    convergence_rate,
    degradation,
    depth,
    imagenet_nets,
    landscape,
    lesion,
    normalization,
    plateau,
    responses,
    shattering,
    shortcuts,
    thousand_layers,
    warmup,
)
from .experiment import AnyExperiment

_EXPERIMENTS: tuple[AnyExperiment, ...] = (
    construction.EXPERIMENT,
    degradation.EXPERIMENT,
    imagenet_nets.EXPERIMENT,
    normalization.EXPERIMENT,
    convergence.EXPERIMENT,
    convergence_rate.EXPERIMENT,
    shortcuts.EXPERIMENT,
    depth.EXPERIMENT,
    thousand_layers.EXPERIMENT,
    responses.EXPERIMENT,
    warmup.EXPERIMENT,
    plateau.EXPERIMENT,
    complexity.EXPERIMENT,
    landscape.EXPERIMENT,
    lesion.EXPERIMENT,
    shattering.EXPERIMENT,
)
EXPERIMENTS: dict[str, AnyExperiment] = {experiment.name: experiment for experiment in _EXPERIMENTS}


def find_experiment(name: str) -> AnyExperiment:
    """Return an experiment by its name.

    Raises:
        UsageError: There is none of this name; the message lists all names.
    """
    if name not in EXPERIMENTS:
        names = ", ".join(EXPERIMENTS)
        raise UsageError(f"experiment is {name!r}; allowed: {names}.{did_you_mean(name, EXPERIMENTS)}")
    return EXPERIMENTS[name]
