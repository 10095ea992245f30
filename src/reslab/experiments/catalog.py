"""All experiments by name, in the order of the paper's argument."""

from reslab.errors import UsageError, did_you_mean
from reslab.experiments.claims import (
    complexity,
    construction,
    convergence,
    degradation,
    depth,
    landscape,
    normalization,
    plateau,
    responses,
    shortcuts,
    thousand_layers,
    warmup,
)

from .experiment import Experiment

_MODULES = (
    construction,
    degradation,
    normalization,
    convergence,
    shortcuts,
    depth,
    thousand_layers,
    responses,
    warmup,
    plateau,
    complexity,
    landscape,
)
EXPERIMENTS: dict[str, Experiment] = {module.EXPERIMENT.name: module.EXPERIMENT for module in _MODULES}


def find_experiment(name: str) -> Experiment:
    """Return an experiment; UsageError names those there are."""
    if name not in EXPERIMENTS:
        names = ", ".join(EXPERIMENTS)
        raise UsageError(f"experiment is {name!r}; allowed: {names}.{did_you_mean(name, EXPERIMENTS)}")
    return EXPERIMENTS[name]
