"""A whole run."""

from dataclasses import dataclass, field

from reslab.errors import UsageError
from reslab.spec import ModelSpec

from .checks import require
from .data import DataConfig
from .optim import Constant, NoWarmup, Optim, Schedule, Sgd, Warmup
from .train import TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """A whole run: the same config, seed and data give the same run again.

    weights: a model file of the same network, whose weights training starts from instead of the initialisation; the
        head is carried over as far as it has the data's classes, by name.
    """

    recipe: str
    model: ModelSpec
    data: DataConfig
    train: TrainConfig
    optim: Optim = field(default_factory=Sgd)
    schedule: Schedule = field(default_factory=Constant)
    warmup: Warmup = field(default_factory=NoWarmup)
    weights: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**63, "seed", self.seed, "0 to 2^63 - 1")
        self._check_finetuning()
        if self.optim.kind == "muon" and self.model.norm == "none":
            raise UsageError(
                "optim.kind 'muon' holds weights at a fixed norm, which only batch norm makes harmless, "
                "and model.norm is 'none'; use optim.kind='sgd'."
            )
        if self.schedule.kind == "plateau" and self.train.monitor != "validation":
            raise UsageError(
                f"schedule.kind 'plateau' follows the validation error, but train.monitor is {self.train.monitor!r}; "
                "use train.monitor='validation'. Nothing may be chosen by the test set."
            )

    def _check_finetuning(self) -> None:
        train, num_stages = self.train, len(self.model.num_blocks)
        require(
            train.freeze_stages <= num_stages,
            "train.freeze_stages",
            train.freeze_stages,
            f"0 to {num_stages}, the stages of {self.model.label}",
        )
        needing = {"train.freeze_stages": train.freeze_stages > 0, "train.bn": train.bn == "frozen",
                   "data.mean": self.data.mean == "weights"}  # fmt: skip
        for name in [name for name, is_set in needing.items() if is_set and self.weights is None]:
            part, _, field_name = name.partition(".")
            raise UsageError(
                f"{name} is {getattr(getattr(self, part), field_name)!r}, but the run starts from random weights; "
                "give weights (--weights FILE)."
            )
        if self.model.norm == "none":
            for name, usual in (
                ("bn", "batch"),
                ("bn_reestimate_batches", 0),
                ("bn_group_size", None),
                ("sync_bn", False),
            ):
                if (value := getattr(train, name)) != usual:
                    raise UsageError(
                        f"train.{name} is {value!r}: it is for batch norm, and model.norm is 'none'; leave it out."
                    )
        if train.bn_reestimate_batches and train.freeze_stages == num_stages:
            raise UsageError(
                f"train.bn_reestimate_batches is {train.bn_reestimate_batches}, but with train.freeze_stages "
                f"{num_stages} all batch norm is frozen; leave one out."
            )
        if self.optim.kind == "muon" and train.bn == "frozen":
            raise UsageError(
                "optim.kind 'muon' holds weights at a fixed norm, which frozen batch norm (train.bn) does not make "
                "harmless; use optim.kind='sgd' or train.bn='batch'."
            )
