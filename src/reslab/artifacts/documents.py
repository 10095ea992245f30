"""What a run writes as JSON, as frozen dataclasses: one for each file, and the parts that several files share."""

from dataclasses import dataclass
from typing import Self

from reslab.evaluation.metrics import Evaluation
from reslab.system.environment import Machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What an evaluation counted on one split.

    Attributes:
        correct: Images whose most probable class is their label.
        total: Images in all.
        loss: Mean cross-entropy; None for one that is not finite.
        error: Top-1 error in %.
    """

    correct: int
    total: int
    loss: float | None
    error: float

    @classmethod
    def of(cls, evaluation: Evaluation) -> Self:
        """Take the counts of an evaluation, without its confusion matrix."""
        return cls(
            correct=evaluation.correct, total=evaluation.total, loss=evaluation.finite_loss, error=evaluation.error
        )

    @property
    def wrong(self) -> int:
        """Images whose most probable class is not their label."""
        return self.total - self.correct


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedCounts(Counts):
    """The counts that a model file reports of itself.

    Attributes:
        split: Whose images were counted.
        protocol: Which view of each image was evaluated, in words.
    """

    split: str
    protocol: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFacts:
    """Which data a run saw.

    Attributes:
        name: The data set, or the folder of the images.
        fingerprint: A hash of the training images and labels.
        num_classes: Classes of the data.
        sizes: Images in each split.
        skipped: Images that were left out.
    """

    name: str
    fingerprint: str
    num_classes: int
    sizes: dict[str, int]
    skipped: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsFacts:
    """Which model file a run started from.

    Attributes:
        file: Its name, without a folder.
        sha256: SHA-256 of its bytes, in hexadecimal digits.
    """

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineChoice:
    """Why a start of a run was computed as it was.

    Attributes:
        reason: In words.
        images_per_second: Measured rates by the engine's label; empty where nothing had to be measured.
    """

    reason: str
    images_per_second: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One start of a run: when, where and how it was computed.

    Attributes:
        from_step: The step that it started at; 0 for a new run.
        date: The day, YYYY-MM-DD; None where it was not recorded.
        device: "cpu" or "cuda".
        precision: "fp32" or "bf16".
        fused_norm: Whether batch norm, addition and ReLU were one operation.
        is_compiled: Whether blocks went through torch.compile.
        world_size: Processes.
        engine: Why it was computed so; None where that was not recorded.
        machine: Versions and hardware.
    """

    from_step: int
    date: str | None
    device: str
    precision: str
    fused_norm: bool
    is_compiled: bool
    world_size: int
    engine: EngineChoice | None
    machine: Machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """`environment.json`: which data and weights a run has, and where each of its starts ran.

    Attributes:
        data: The data.
        weights: The model file that the run started from; None for a random initialisation.
        sessions: The starts of the run, in order; at least one.
    """

    data: DataFacts
    weights: WeightsFacts | None
    sessions: tuple[Session, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """`result.json`: what a finished run came to.

    Attributes:
        recipe: The recipe's name.
        model: The network's label.
        seed: The run's seed.
        iterations: Optimizer steps that were made.
        selection: Which weights are the result, in words.
        selected_step: The training step of these weights.
        is_checkpoint: Whether that step's checkpoint holds the same weights: no average, no statistics re-estimated.
        protocol: Which view of each image was evaluated, in words.
        reported_split: The split whose error is the result; None where there is neither a test nor a validation part.
        final: The counts on each split.
        confusion: Counts of the reported split by true class (row) and answer (column); None without such a split.
        monitor: The split that was evaluated along the way, or "none".
        minutes: Time spent in training.
        waited_for_data: The part of that time spent waiting for batches, from 0 to 1.
        model_sha256: SHA-256 of the model file as training left it.
    """

    recipe: str
    model: str
    seed: int
    iterations: int
    selection: str
    selected_step: int
    is_checkpoint: bool
    protocol: str
    reported_split: str | None
    final: dict[str, Counts]
    confusion: tuple[tuple[int, ...], ...] | None
    monitor: str
    minutes: float
    waited_for_data: float
    model_sha256: str

    @property
    def reported(self) -> Counts | None:
        """The counts on the reported split."""
        return None if self.reported_split is None else self.final[self.reported_split]


@dataclass(frozen=True, kw_only=True, slots=True)
class TestUse:
    """One use of a run's test set after its training.

    Attributes:
        date: The minute, in UTC: YYYY-MM-DD HH:MM.
        command: What was typed.
        model: SHA-256 of the model file that was judged.
        protocol: Which views of each image were evaluated, in words.
        wrong: Images answered wrongly.
        total: Images in all.
        error: Top-1 error in %.
    """

    __test__ = False  # pytest collects no class of this name

    date: str
    command: str
    model: str
    protocol: str
    wrong: int
    total: int
    error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TestUses:
    """`test_uses.json`: every use of the test set after the training, oldest first."""

    __test__ = False

    uses: tuple[TestUse, ...]
