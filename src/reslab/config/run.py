"""A whole run."""

from dataclasses import dataclass, field

from reslab.errors import UsageError
from reslab.spec import ModelSpec

from .batch_norm import BatchNormConfig
from .checks import require
from .compute import ComputeConfig
from .data import DataConfig
from .evaluation import EvaluationConfig
from .optim import Optim, Sgd
from .schedule import Constant, NoWarmup, Schedule, Warmup
from .train import TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Configure a whole run: the same config, data and seed give the same run again.

    Attributes:
        recipe: Name of the recipe that the config began as.
        model: The network.
        data: Where images come from, and how they reach the network.
        train: The training loop.
        compute: The engine that computes the network.
        batch_norm: Statistics of batch norm in training.
        evaluation: What is evaluated, and which weights are the result.
        optim: The optimizer, one of several kinds.
        schedule: The learning rate over the run, one of several kinds.
        warmup: The learning rate at the beginning, one of several kinds.
        weights: Model file of the same network, whose weights training starts from instead of the initialisation. The
            head keeps the rows of classes that the data has too, by name.
        seed: Seed of the initialisation, of the order of the images and of their augmentation.
    """

    recipe: str
    model: ModelSpec
    data: DataConfig
    train: TrainConfig
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    batch_norm: BatchNormConfig = field(default_factory=BatchNormConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    optim: Optim = field(default_factory=Sgd)
    schedule: Schedule = field(default_factory=Constant)
    warmup: Warmup = field(default_factory=NoWarmup)
    weights: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**63, "seed", self.seed, "0 to 2^63 - 1")
        self._check_freezing()
        self._check_starts_from_weights()
        self._check_batch_norm()
        self._check_muon()
        if self.schedule.kind == "plateau" and self.evaluation.monitor != "validation":
            raise UsageError(
                f"schedule.kind 'plateau' follows the validation error, but evaluation.monitor is "
                f"{self.evaluation.monitor!r}; use evaluation.monitor='validation'. Nothing may be selected on the "
                "test set."
            )

    def _check_freezing(self) -> None:
        frozen, num_stages = self.train.freeze_stages, len(self.model.num_blocks)
        allowed = f"0 to {num_stages}, the stages of {self.model.label}"
        require(frozen <= num_stages, "train.freeze_stages", frozen, allowed)
        if self.batch_norm.reestimate_batches and frozen == num_stages:
            raise UsageError(
                f"batch_norm.reestimate_batches is {self.batch_norm.reestimate_batches}, but with "
                f"train.freeze_stages {num_stages} all batch norm is frozen; leave one out."
            )

    def _check_starts_from_weights(self) -> None:
        """Refuse what makes sense only for a network that was trained before."""
        if self.weights is not None:
            return
        for key, value, is_set in (
            ("train.freeze_stages", self.train.freeze_stages, self.train.freeze_stages > 0),
            ("batch_norm.frozen", self.batch_norm.frozen, self.batch_norm.frozen),
            ("data.mean", self.data.mean, self.data.mean == "weights"),
        ):
            if is_set:
                raise UsageError(
                    f"{key} is {value!r}, but the run starts from random weights; set weights to a model file."
                )

    def _check_batch_norm(self) -> None:
        if self.model.norm != "none":
            return
        usual = BatchNormConfig()
        for name in ("frozen", "reestimate_batches", "group_size", "sync"):
            if (value := getattr(self.batch_norm, name)) != getattr(usual, name):
                raise UsageError(
                    f"batch_norm.{name} is {value!r}, but the network has no batch norm (model.norm is 'none'); "
                    "leave it out."
                )

    def _check_muon(self) -> None:
        if self.optim.kind != "muon":
            return
        if self.model.norm == "none":
            raise UsageError(
                "optim.kind 'muon' keeps weights at a fixed norm, which needs a batch norm behind them, but model.norm "
                "is 'none'; use optim.kind='sgd'."
            )
        if self.batch_norm.frozen:
            raise UsageError(
                "optim.kind 'muon' keeps weights at a fixed norm, which needs a batch norm behind them that is not "
                "frozen; use optim.kind='sgd' or batch_norm.frozen=false."
            )
