"""Trainings in float64, in which the order of the sums is only seen in the last bits.

Run under torchrun as `python -m tests.distributed.exact OUT RECIPE [--part.name VALUE ...]`: every process trains,
and the first one saves the weights.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from reslab.cli.config_args import choose_config, read_settings
from reslab.config import RunConfig, override
from reslab.data.stream import Batch, Stream
from reslab.distributed import World, process_group, replicate, world_from_environment
from reslab.runs.context import context_for_timing
from reslab.runs.train import make_trainer


class _DoubleStream(Stream):
    """The batches of another stream, with images in float64."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def batch(self, step: int) -> Batch:
        batch = self._stream.batch(step)
        return replace(batch, images=batch.images.double())

    def close(self) -> None:
        self._stream.close()


def exact_config(recipe: str, options: Sequence[str]) -> RunConfig:
    """Return a recipe with settings as on the command line, computed by torch's own kernels, which know float64."""
    config = choose_config(recipe, read_settings(options))
    return override(config, {"compute": {"device": "cpu", "precision": "fp32", "fused_norm": "off", "compile": "off"}})


def train_weights(config: RunConfig, world: World | None = None, *, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the weights after all steps of a training, in `dtype`."""
    world = world or World()
    trainer = make_trainer(replace(context_for_timing(config), world=world))
    if dtype == torch.float64:
        trainer.model.double()
        trainer.replica = replicate(trainer.model) if world.size > 1 else trainer.model
        trainer.stream = _DoubleStream(trainer.stream)
    for _ in range(config.train.iterations):
        trainer.train_step()
    trainer.stream.close()
    return {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}


def first_weights(config: RunConfig) -> dict[str, Tensor]:
    """Return the weights that a training starts with."""
    return make_trainer(context_for_timing(config)).model.state_dict()


def relative_distance(weights: dict[str, Tensor], others: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    """Return the norm of the difference between two sets of weights over that of the way from `start` to one."""
    assert weights.keys() == others.keys() == start.keys()
    names = [name for name in start if start[name].is_floating_point()]
    first, second, origin = (
        torch.cat([tensors[name].double().flatten() for name in names]) for tensors in (weights, others, start)
    )
    return ((first - second).norm() / (second - origin).norm()).item()


def distance(weights: dict[str, Tensor], others: dict[str, Tensor]) -> float:
    """Return the largest difference between two sets of weights of the same names."""
    assert weights.keys() == others.keys()
    return max((weights[name].double() - others[name].double()).abs().max().item() for name in weights)


def _main(output: str, recipe: str, *options: str) -> None:
    world = world_from_environment()
    with process_group(world, torch.device("cpu")):
        weights = train_weights(exact_config(recipe, options), world, dtype=torch.float64)
        if world.is_main:
            safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in weights.items()}, Path(output))


if __name__ == "__main__":
    _main(*sys.argv[1:])
