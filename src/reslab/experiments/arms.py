"""What an experiment trains: networks with their recipe, at one of three sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from reslab.config import DataConfig, RunConfig, Setting, differences, override, to_dict
from reslab.errors import check_choice
from reslab.recipes.cifar import cifar
from reslab.recipes.cifar_small import cifar_small
from reslab.recipes.digits import digits

NET_KINDS = ("plain", "resnet")
FIGURE_DEPTHS = (20, 32, 44, 56)  # of the paper's Fig. 6, all of which train on a CPU
Size = Literal["digits", "small", "paper"]
SIZES: tuple[Size, ...] = ("digits", "small", "paper")
# by size; what the networks do with earlier seeds was known when the rules were written
FIRST_SEED: dict[Size, int] = {"digits": 3, "small": 0, "paper": 1}
_RECIPES = {"digits": digits, "small": cifar_small, "paper": cifar}


@dataclass(frozen=True, slots=True)
class Start:
    """Name where an arm's weights come from: another arm's result of the same seed, with identity blocks added.

    Attributes:
        arm: The arm that is trained first.
        blocks: How many identity blocks are added to each of its stages; 0 for none.
    """

    arm: "Arm"
    blocks: int


@dataclass(frozen=True, slots=True)
class Arm:
    """One network under one recipe, to be trained with several seeds.

    Attributes:
        config: What is trained; its recipe's name is the arm's.
        start: Where its weights come from; None for random weights.
    """

    config: RunConfig
    start: Start | None = None

    @property
    def name(self) -> str:
        return self.config.recipe

    @property
    def total_iterations(self) -> int:
        """The iterations behind the arm's weights, with those of the arm that it starts from."""
        before = 0 if self.start is None else self.start.arm.total_iterations
        return before + self.config.train.iterations

    def at(self, data: str | None) -> "Arm":
        """Return the same arm with its data in another place; see `at_place`."""
        start = None if self.start is None else replace(self.start, arm=self.start.arm.at(data))
        return Arm(replace(self.config, data=at_place(self.config.data, data)), start)

    def changes(self, config: RunConfig) -> str:
        """Return in words what differs between a run's config and this arm's; "" for a run of this arm.

        A run's seed, where its data lay, and the path of the weights that it began with tell no arm from another.
        """
        pairs = differences(to_dict(config), to_dict(self.config))
        return "; ".join(
            f"{key}: {theirs!r} recorded, {ours!r} now"
            for key, (theirs, ours) in pairs.items()
            if key not in ("seed", "data.path", "weights")
        )


@dataclass(frozen=True, slots=True)
class ArmRun:
    """One training of an arm, with one seed."""

    arm: Arm
    seed: int

    @property
    def source(self) -> "ArmRun | None":
        """The run that has to be finished before this one can start."""
        return None if self.arm.start is None else ArmRun(self.arm.start.arm, self.seed)


def at_place(config: DataConfig, data: str | None) -> DataConfig:
    """Return the same data in another place; the embedded digits stay where they are, as anything does for None."""
    return config if data is None or config.kind == "digits" else replace(config, path=data)


def net_name(kind: str, depth: int) -> str:
    """Return "plain-56" or "ResNet-56"."""
    return f"{'plain' if kind == 'plain' else 'ResNet'}-{depth}"


def kind_in_words(kind: str) -> str:
    """Return "plain" or "residual"."""
    return "plain" if kind == "plain" else "residual"


def make_arm(
    size: Size, kind: str, depth: int, changes: Mapping[str, Setting] | None = None, *, suffix: str = ""
) -> Arm:
    """Return a plain or residual net of the CIFAR family under the recipe of a size.

    Args:
        size: The recipe's.
        kind: "plain" or "resnet".
        depth: The number of weighted layers.
        changes: Settings that differ from the recipe's, as in `reslab.override`.
        suffix: Suffix of the arm's name, to tell it from the arm without the changes.
    """
    check_choice("size", size, SIZES)
    config = _RECIPES[size](kind, depth)
    if size == "small":  # whose records were made before there was a canonical order
        config = override(config, {"data": {"order": "archive"}})
    return Arm(replace(override(config, changes or {}), recipe=config.recipe + suffix))
