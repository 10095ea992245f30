"""What an experiment trains: networks with their recipe, at one of three sizes."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from reslab.config import DataConfig, RunConfig, override, without_defaults
from reslab.errors import check_choice
from reslab.recipes.cifar import cifar
from reslab.recipes.cifar_small import cifar_small
from reslab.recipes.digits import digits

KINDS = ("plain", "resnet")
DEPTHS = (20, 32, 44, 56)  # of the paper's Fig. 6, all of which train on a CPU
Size = Literal["digits", "small", "paper"]
SIZES: tuple[Size, ...] = ("digits", "small", "paper")
_RECIPES = {"digits": digits, "small": cifar_small, "paper": cifar}


@dataclass(frozen=True, slots=True)
class Start:
    """Where an arm's weights come from: another arm's result of the same seed, with identity blocks in every stage."""

    arm: "Arm"
    blocks: int


@dataclass(frozen=True, slots=True)
class Arm:
    """One network under one recipe; every seed of it is a run. Its recipe's name tells it from other arms."""

    config: RunConfig
    start: Start | None = None

    @property
    def name(self) -> str:
        return self.config.recipe

    @property
    def key(self) -> str:
        """A hash of everything that decides the outcome but the seed; where data lies does not.

        Of what differs from the defaults, so that what was trained before a new setting came is still found.
        """
        values = without_defaults(self.config)
        values["data"].pop("path", None)
        for name in ("weights", "seed"):
            values.pop(name, None)
        if self.start is not None:
            values["start"] = [self.start.arm.key, self.start.blocks]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]

    def at(self, data: str | None) -> "Arm":
        """The same arm with its data in another place; the embedded digits stay where they are."""
        start = None if self.start is None else replace(self.start, arm=self.start.arm.at(data))
        return Arm(replace(self.config, data=at_place(self.config.data, data)), start)


def at_place(config: DataConfig, data: str | None) -> DataConfig:
    """The same data in another place; the embedded digits stay where they are, as anything does for None."""
    return config if data is None or config.kind == "digits" else replace(config, path=data)


def net_name(kind: str, depth: int) -> str:
    """Return "plain-56" or "ResNet-56"."""
    return f"{'plain' if kind == 'plain' else 'ResNet'}-{depth}"


def kind_in_words(kind: str) -> str:
    """Return "plain" or "residual"."""
    return "plain" if kind == "plain" else "residual"


def arm(size: Size, kind: str, depth: int, changes: dict[str, Any] | None = None, *, suffix: str = "") -> Arm:
    """Return a plain or residual net of the CIFAR family under the recipe of a size.

    changes: settings that differ from the recipe's, as in `reslab.override`; suffix: then tells the arms apart.
    """
    check_choice("size", size, SIZES)
    config = _RECIPES[size](kind, depth)
    return Arm(replace(override(config, changes or {}), recipe=config.recipe + suffix))
