"""The loop against the same computation written out, and its promises: exact resume, accumulation, stops."""

import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.artifacts.checkpoint import CheckpointFolder
from reslab.artifacts.metrics_log import MetricsRow, RowLog, TrainRow, metrics_log, timing_log
from reslab.artifacts.model_file import ModelCard
from reslab.data import ArrayDataset
from reslab.data.augment import no_augment
from reslab.data.preprocess import Normalizer, measure_preprocess
from reslab.data.sources.digits import load_digits
from reslab.data.stream import MemoryStream
from reslab.errors import Interrupted, RunError
from reslab.evaluation import Evaluation, evaluate
from reslab.models import build
from reslab.optim import ErrorWarmup, LearningRate, PlateauDecay, WeightAverage, make_sgd
from reslab.optim.schedules import constant, step_decay
from reslab.spec.families import model_spec
from reslab.train import Monitor, Records, Trainer, TrainOptions

CPU = torch.device("cpu")
SPEC = model_spec("cifar_resnet8", in_channels=1)
DIGITS = load_digits()
PREPROCESS = measure_preprocess(DIGITS.train, mean="pixel", scale="none")  # type: ignore[arg-type]
CARD = ModelCard(preprocess=PREPROCESS, class_names=DIGITS.train.class_names, recipe="test")


def test_the_logs_are_on_the_disk_before_a_checkpoint_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    sync, save = RowLog.sync, CheckpointFolder.save

    def note_sync(log: RowLog[Any]) -> None:
        sync(log)
        order.append(log.path.name)

    def note_save(folder: CheckpointFolder, *arguments: Any, **options: Any) -> None:
        save(folder, *arguments, **options)
        order.append("checkpoint")

    monkeypatch.setattr(RowLog, "sync", note_sync)
    monkeypatch.setattr(CheckpointFolder, "save", note_save)
    make_trainer(TrainOptions(iterations=4, log_every=2, checkpoint_every=2), tmp_path).fit()
    assert order == 2 * ["metrics.jsonl", "timing.jsonl", "checkpoint"]


def make_stream(batch_size: int = 16, dataset: ArrayDataset | None = None) -> MemoryStream:
    data = dataset or DIGITS.train
    return MemoryStream(data, Normalizer(PREPROCESS, CPU), no_augment, batch_size=batch_size, seed=1, device=CPU)  # type: ignore[arg-type]


def make_trainer(
    loop: TrainOptions, path: Path | None = None, *, spec: Any = SPEC, rate: LearningRate | None = None, **parts: Any
) -> Trainer:
    torch.manual_seed(0)
    model = build(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_sgd(model, lr=0.1, momentum=0.9, nesterov=False, weight_decay=1e-4, decay_norm_and_bias=True)
    average = WeightAverage(model, 0.9) if parts.pop("use_average", False) else None
    records = None
    if path is not None:
        path.mkdir(exist_ok=True)
        records = Records(
            metrics_log(path / "metrics.jsonl"), timing_log(path / "timing.jsonl"), CheckpointFolder(path / "c")
        )
    return Trainer(
        model,
        optimizer,
        rate or LearningRate(0.1, step_decay((6,), 0.1), constant()),
        parts.pop("stream", None) or make_stream(),
        loop,
        card=CARD,
        device=CPU,
        average=average,
        records=records,
        **parts,
    )


def monitor(split: str = "validation", **options: Any) -> Monitor:
    dataset = DIGITS.part("validation")
    return Monitor(split, lambda model: evaluate(model, dataset, PREPROCESS), **options)  # type: ignore[arg-type]


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def assert_same_bits(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not different


def test_training_equals_the_loop_written_out() -> None:
    trainer = make_trainer(TrainOptions(iterations=8))
    trainer.fit()

    torch.manual_seed(0)
    model = build(SPEC).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    stream = make_stream()
    for step in range(8):
        optimizer.param_groups[0]["lr"] = 0.1 if step < 6 else 0.1 * 0.1
        batch = stream.batch(step)
        optimizer.zero_grad()
        F.cross_entropy(model(batch.images.contiguous(memory_format=torch.channels_last)), batch.labels).backward()
        optimizer.step()
    assert_same_bits(weights(trainer), model.state_dict())


def test_bf16_computes_as_torchs_autocast_does_with_gradients_in_float32() -> None:
    trainer = make_trainer(TrainOptions(iterations=1, use_bf16=True))
    batch = trainer.stream.batch(0)
    loss = trainer.forward_backward(batch)
    torch.manual_seed(0)
    model = build(SPEC).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch.images.contiguous(memory_format=torch.channels_last))
    expected = F.cross_entropy(logits.float(), batch.labels)
    expected.backward()
    assert logits.dtype == torch.bfloat16
    assert torch.equal(loss, expected.detach())
    for ours, theirs in zip(trainer.model.parameters(), model.parameters(), strict=True):
        assert ours.grad is not None
        assert ours.grad.dtype == torch.float32
        assert torch.equal(ours.grad, theirs.grad)  # type: ignore[arg-type]
    assert not torch.equal(loss, make_trainer(TrainOptions(iterations=1)).forward_backward(batch))


def test_accumulated_pieces_give_the_gradients_of_the_whole_batch() -> None:
    spec = replace(SPEC, norm="none")  # with batch norm, a piece has statistics of its own
    whole, pieces = (make_trainer(TrainOptions(iterations=1, accumulation=n), spec=spec) for n in (1, 4))
    for trainer in (whole, pieces):
        trainer.forward_backward(trainer.stream.batch(0))
    for ours, theirs in zip(whole.model.parameters(), pieces.model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_gradients_are_clipped_to_the_norm() -> None:
    trainer = make_trainer(TrainOptions(iterations=1, clip_norm=0.01), rate=LearningRate(1e-9, constant(), constant()))
    trainer.train_step()
    norm = torch.sqrt(sum(p.grad.square().sum() for p in trainer.model.parameters()))  # type: ignore[union-attr,arg-type]
    assert norm.item() == pytest.approx(0.01, rel=1e-4)


def test_label_smoothing_is_torchs() -> None:
    trainer = make_trainer(TrainOptions(iterations=1, label_smoothing=0.1))
    batch = trainer.stream.batch(0)
    loss = trainer.forward_backward(batch)
    torch.manual_seed(0)
    logits = build(SPEC).train()(batch.images)
    assert loss.item() == pytest.approx(F.cross_entropy(logits, batch.labels, label_smoothing=0.1).item(), rel=1e-5)


class _Losses:
    """An observer that keeps every step's loss."""

    def __init__(self, losses: list[float]) -> None:
        self.losses = losses

    def on_step(self, step: int, loss: torch.Tensor) -> None:
        self.losses.append(loss.item())

    def on_row(self, row: MetricsRow) -> None:
        """Leave rows alone."""


def test_rows_hold_the_mean_loss_and_error_of_their_window(tmp_path: Path) -> None:
    trainer = make_trainer(TrainOptions(iterations=6, log_every=3), tmp_path / "run")
    losses: list[float] = []
    trainer.observers = [_Losses(losses)]
    trainer.fit()
    rows = metrics_log(tmp_path / "run" / "metrics.jsonl").read()
    assert [row.step for row in rows] == [3, 6]
    assert rows[0].loss == pytest.approx(sum(losses[:3]) / 3, rel=1e-6)
    assert rows[1].loss == pytest.approx(sum(losses[3:]) / 3, rel=1e-6)
    assert 0 <= rows[1].error <= 100


def test_the_rate_of_the_window_in_which_a_warmup_ends_is_logged_as_it_was(tmp_path: Path) -> None:
    rate = LearningRate(0.1, step_decay((100,), 0.1), ErrorWarmup(0.1, 101.0, 2))  # over after its first window
    make_trainer(TrainOptions(iterations=6, log_every=2), tmp_path / "run", rate=rate).fit()
    rows = metrics_log(tmp_path / "run" / "metrics.jsonl").read()
    assert [row.lr for row in rows if isinstance(row, TrainRow)] == pytest.approx([0.01, 0.1, 0.1])


@pytest.mark.parametrize("stop_at", [1, 4, 5, 9])
def test_a_run_stopped_and_resumed_ends_with_the_same_bits(tmp_path: Path, stop_at: int) -> None:
    loop = TrainOptions(iterations=10, log_every=4, evaluate_every=3, checkpoint_every=100)

    def make(path: Path) -> Trainer:
        rate = LearningRate(0.1, PlateauDecay(0.5, 1, 0.0, 3), ErrorWarmup(0.1, 80.0, 2))
        return make_trainer(loop, path, rate=rate, monitor=monitor(), use_average=True)

    whole = make(tmp_path / "whole")
    whole.fit()

    class StopAt:
        def on_step(self, step: int, loss: Tensor) -> None:
            if step == stop_at:
                signal.raise_signal(signal.SIGTERM)

        def on_row(self, row: MetricsRow) -> None: ...

    first = make(tmp_path / "parts")
    first.observers = [StopAt()]
    with pytest.raises(Interrupted, match=f"step {stop_at} of 10"):
        first.fit()
    # a killed process may have written rows past its checkpoint, and half a line
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "split": "train", "loss": 1.0, "error": 9.0, "lr": 0.1}\n{"step": 1')
    second = make(tmp_path / "parts")
    newest, problems = CheckpointFolder(tmp_path / "parts" / "c").load_newest()
    assert newest is not None
    assert (newest.step, problems) == (stop_at, [])
    second.restore(newest)
    second.fit()

    assert_same_bits(weights(second), weights(whole))
    assert_same_bits(second.average.averages, whole.average.averages)  # type: ignore[union-attr]
    files = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]


def test_a_second_ctrl_c_ends_at_once() -> None:
    class Impatient:
        def on_step(self, step: int, loss: Tensor) -> None:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

        def on_row(self, row: MetricsRow) -> None: ...

    before = signal.getsignal(signal.SIGINT)  # ignored, where a shell began the tests in the background
    with pytest.raises(KeyboardInterrupt):
        make_trainer(TrainOptions(iterations=3), observers=[Impatient()]).fit()
    assert signal.getsignal(signal.SIGINT) is before


def saves_each_step(path: Path, lr: float) -> Trainer:
    return make_trainer(
        TrainOptions(iterations=50, checkpoint_every=1), path, rate=LearningRate(lr, constant(), constant())
    )


def test_a_loss_that_is_not_finite_stops_with_the_step_and_says_what_the_newest_checkpoint_is_good_for(
    tmp_path: Path,
) -> None:
    trainer = saves_each_step(tmp_path / "run", 1e30)
    with pytest.raises(RunError, match=r"loss is not finite at step \d+ \(learning rate 1e\+30\).*optim\.lr") as stop:
        trainer.fit()
    newest, problems = CheckpointFolder(tmp_path / "run" / "c").load_newest()
    assert newest is not None
    assert problems == []
    assert f"checkpoint is of step {newest.step} and has finite weights, but a run resumed" in str(stop.value)
    resumed = saves_each_step(tmp_path / "run", 1e30)
    resumed.restore(newest)
    assert all(bool(parameter.isfinite().all()) for parameter in resumed.model.parameters())
    with pytest.raises(RunError) as again:
        resumed.fit()
    assert str(again.value) == str(stop.value)


@pytest.mark.parametrize(
    ("bad", "said"), [(1, "There is no checkpoint yet"), (3, "newest checkpoint is of step 2 and")]
)
def test_weights_that_are_not_finite_after_a_finite_loss_are_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: int, said: str
) -> None:
    trainer = saves_each_step(tmp_path / "run", 0.1)
    update = trainer.optimizer.step

    def spoil() -> None:
        update()
        if trainer.state.step + 1 == bad:
            with torch.no_grad():
                next(trainer.model.parameters()).fill_(math.inf)

    monkeypatch.setattr(trainer.optimizer, "step", spoil)
    with pytest.raises(RunError, match=rf"the weights are not finite after step {bad} .*{said}"):
        trainer.fit()
    assert CheckpointFolder(tmp_path / "run" / "c").steps() == list(range(1, bad))


@pytest.mark.parametrize("what", ["save", "evaluate"])
def test_a_loss_that_was_not_finite_inside_a_window_is_noticed_before_anything_is_made_of_it(
    tmp_path: Path, what: str
) -> None:
    trainer = make_trainer(TrainOptions(iterations=9), tmp_path / "run", monitor=monitor())
    trainer.train_step()
    logits = torch.zeros(16, 10)
    trainer.log_meter.add(torch.tensor(math.nan), logits, logits.argmax(1))  # as on a GPU, where no single loss is read
    with pytest.raises(RunError, match="loss is not finite at or shortly before step 1 "):
        getattr(trainer, what)()
    assert CheckpointFolder(tmp_path / "run" / "c").steps() == []
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("loss", [math.inf, math.nan])
def test_an_evaluation_whose_loss_is_not_finite_is_written_as_null_and_training_goes_on(
    tmp_path: Path, loss: float
) -> None:
    scripted = Monitor("validation", lambda model: Evaluation(10, 100, loss, torch.zeros(2, 2, dtype=torch.int64)))
    trainer = make_trainer(TrainOptions(iterations=4, evaluate_every=2), tmp_path / "run", monitor=scripted)
    trainer.fit()
    rows = [row for row in metrics_log(tmp_path / "run" / "metrics.jsonl").read() if row.split == "validation"]
    assert [(row.step, row.loss, row.error) for row in rows] == [(2, None, 90.0), (4, None, 90.0)]
    assert trainer.state.best_step == 2


def test_the_test_set_chooses_nothing(tmp_path: Path) -> None:
    rate = LearningRate(0.1, plateau := PlateauDecay(0.1, 1, 0.0, 3), constant())
    loop = TrainOptions(iterations=6, evaluate_every=1, patience_evaluations=1)
    trainer = make_trainer(loop, tmp_path / "run", rate=rate, monitor=monitor("test", may_choose=False))
    trainer.fit()
    assert trainer.state.step == 6
    assert trainer.state.best_step is None
    assert math.isinf(plateau.best_error)
    assert sum(row.split == "test" for row in metrics_log(tmp_path / "run" / "metrics.jsonl").read()) == 6


def test_patience_ends_a_run_early_and_the_best_checkpoint_is_kept(tmp_path: Path) -> None:
    errors = iter([30, 20, 25, 25, 25, 10])

    def scripted(model: nn.Module) -> Evaluation:
        correct = 100 - next(errors)
        return Evaluation(correct, 100, 1.0, torch.zeros(2, 2, dtype=torch.int64))

    loop = TrainOptions(iterations=100, evaluate_every=1, checkpoint_every=1, patience_evaluations=3)
    trainer = make_trainer(loop, tmp_path / "run", monitor=Monitor("validation", scripted))
    trainer.fit()
    assert trainer.state.step == 5
    assert (trainer.state.best_step, trainer.state.best_error) == (2, 20.0)
    assert CheckpointFolder(tmp_path / "run" / "c").steps() == [2, 4, 5]


@pytest.mark.parametrize(("log_every", "logged"), [(2, [2, 4, 5]), (5, [5]), (100, [5])])
def test_a_run_that_lost_patience_has_logged_its_last_window_once(
    tmp_path: Path, log_every: int, logged: list[int]
) -> None:
    errors = iter([30, 20, 25, 25, 25, 10])

    def scripted(model: nn.Module) -> Evaluation:
        return Evaluation(100 - next(errors), 100, 1.0, torch.zeros(2, 2, dtype=torch.int64))

    def make() -> Trainer:
        loop = TrainOptions(iterations=100, log_every=log_every, evaluate_every=1, patience_evaluations=3)
        return make_trainer(loop, tmp_path / "run", monitor=Monitor("validation", scripted))

    make().fit()
    again = make()  # of a process that was killed after the last checkpoint
    newest, _ = CheckpointFolder(tmp_path / "run" / "c").load_newest()
    assert newest is not None
    again.restore(newest)
    again.fit()
    rows = [row for row in metrics_log(tmp_path / "run" / "metrics.jsonl").read() if row.split == "train"]
    assert [row.step for row in rows] == logged
    assert [row.step for row in timing_log(tmp_path / "run" / "timing.jsonl").read()] == logged
