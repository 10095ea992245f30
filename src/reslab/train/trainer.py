"""The training loop: `fit` calls `train_step`, which calls `forward_backward`. A trainer needs no config or recipe."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import NoReturn

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from reslab.artifacts.checkpoint import Checkpoint, CheckpointState, TrainState
from reslab.artifacts.documents import Counts
from reslab.artifacts.metrics_log import EvaluationRow, MetricsRow, TimingRow, TrainRow
from reslab.artifacts.model_file import ModelCard, model_bytes
from reslab.data.stream import Batch, Stream
from reslab.distributed import World, any_rank, average_running_statistics, barrier, replicate
from reslab.errors import Interrupted
from reslab.evaluation.metrics import Evaluation, Meter
from reslab.models import Network
from reslab.models.normalization import reestimate_running_statistics
from reslab.optim import ErrorWarmup, LearningRate, PlateauDecay, WeightAverage

from .divergence import divergence_error, has_finite_weights
from .interrupts import StopRequest
from .loss import CrossEntropy
from .optimizer_state import read_optimizer_state, write_optimizer_state
from .state import Monitor, Observer, Records, TrainOptions


class Trainer:
    """Trains `model` on `stream` for `options.iterations` steps.

    On a CPU, two trainers with the same arguments, seed, number of threads and precision end with bit-identical
    weights, however often one of them was stopped and resumed.

    Args:
        model: The network, already on `device`; its blocks may be compiled.
        optimizer: Updates the model's parameters.
        learning_rate: Gives the rate of each step, which is then set in the optimizer.
        stream: Gives the batch of each step.
        options: The loop's settings, such as its length.
        card: What the model file holds besides the weights.
        device: Where the model is.
        world: This process's place among those that train together; None for a single process.
        average: A moving average of the weights; where given, evaluations use it instead of the weights.
        monitor: What to evaluate along the way.
        records: The logs and the checkpoint folder to write to.
        observers: What watches the training, such as a progress bar.

    Attributes:
        state: The steps made, the time spent and the best evaluation so far, which checkpoints keep.
        latest: The newest evaluation of the monitored split, as (step, evaluation); None before the first.
    """

    def __init__(
        self,
        model: Network,
        optimizer: Optimizer,
        learning_rate: LearningRate,
        stream: Stream,
        options: TrainOptions,
        *,
        card: ModelCard,
        device: torch.device,
        world: World | None = None,
        average: WeightAverage | None = None,
        monitor: Monitor | None = None,
        records: Records | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.model, self.optimizer, self.learning_rate = model, optimizer, learning_rate
        self.stream, self.options, self.card, self.device = stream, options, card, device
        self.world = world or World()
        self.average, self.monitor = average, monitor
        self.records, self.observers = records or Records(), observers
        self.replica: nn.Module = model
        if self.world.size > 1:
            self.replica = replicate(model)
        self.state = TrainState()
        self.latest: tuple[int, Evaluation] | None = None
        self.log_meter, self.warmup_meter = Meter(device), Meter(device)
        is_watched = isinstance(learning_rate.warmup, ErrorWarmup)
        self._meters = (self.log_meter, self.warmup_meter) if is_watched else (self.log_meter,)
        self.loss = CrossEntropy(device, options.class_weights, options.label_smoothing)
        self._stop = StopRequest()
        self._last_saved: int | None = None
        self._clock = 0.0
        self._rate = 0.0  # learning rate of the last step

    # --- the loop ---------------------------------------------------------------------------------------------------

    def fit(self) -> None:
        """Train to the end, with logs, evaluations and checkpoints.

        Raises:
            Interrupted: After Ctrl-C or SIGTERM, with the state saved.
            RunError: The loss or the weights are not finite, or a file cannot be written.
        """
        self._clock = time.monotonic()
        with self._stop.listening():
            while self.state.step < self.options.iterations and not self._has_lost_patience():
                loss = self.train_step()
                for observer in self.observers:
                    observer.on_step(self.state.step, loss)
                is_last = self.state.step == self.options.iterations
                is_window_over = is_last or self.is_due(self.options.log_every)
                if is_window_over:
                    self.log()
                if self.monitor and (is_last or self.is_due(self.options.evaluate_every)):
                    self.evaluate()
                    if self._has_lost_patience() and not is_window_over:
                        # before the last checkpoint is saved; otherwise a resume would write this row a second time
                        self.log()
                if is_last or self.is_due(self.options.checkpoint_every):
                    self.save()
                if any_rank(self._stop.is_made, self.device):
                    self.save()
                    raise Interrupted(
                        f"stopped at step {self.state.step} of {self.options.iterations}; the state is saved."
                    )
        self.save()

    def is_due(self, every: int) -> bool:
        """Return whether the step just made is a multiple of `every`."""
        return self.state.step % every == 0

    def train_step(self) -> Tensor:
        """Make one optimizer step.

        Returns:
            This process's mean loss, a scalar on the device.

        Raises:
            RunError: The loss is not finite (checked here on a CPU only).
        """
        self.model.train()
        self._rate = self.learning_rate.at(self.state.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate * group.get("lr_scale", 1.0)
        self.optimizer.zero_grad()
        asked = time.monotonic()
        batch = self.stream.batch(self.state.step)
        self.state.waited_seconds += time.monotonic() - asked
        loss = self.forward_backward(batch)
        # reading the loss on a GPU would wait for the device, so there `log`, `evaluate` and `save` check it instead
        if self.device.type == "cpu" and not math.isfinite(loss.item()):
            self._stop_diverged("the training loss is not finite at", self.state.step + 1)
        if self.options.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.optimizer.step()
        average_running_statistics(self.model)
        if self.average is not None:
            self.average.update()
        self.state.step += 1
        self._watch_warmup()
        return loss

    def forward_backward(self, batch: Batch) -> Tensor:
        """Add the gradients of the batch's mean loss, one micro-batch at a time; return that loss."""
        count = self.options.accumulation
        total = torch.zeros((), device=self.device)
        for number, micro_batch in enumerate(batch.micro_batches(count), start=1):
            images = micro_batch.images.contiguous(memory_format=torch.channels_last)
            is_last = number == count
            with nullcontext() if is_last or self.world.size == 1 else self.replica.no_sync():  # type: ignore[operator]
                with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.options.use_bf16):
                    logits = self.replica(images)
                loss = self.loss(logits.float(), micro_batch)
                (loss / count).backward()
            for meter in self._meters:
                meter.add(loss, logits.detach(), micro_batch.labels)
            total += loss.detach() / count
        return total

    def reestimate_running_statistics(self, num_batches: int) -> None:
        """Re-estimate batch norm's running statistics for the current weights, as the average over training batches.

        The batches are the next ones of the stream. They run through the network as in training: in micro-batches, in
        the same precision, on all processes.

        Args:
            num_batches: How many batches to average over.
        """

        def micro_batches() -> Iterator[Tensor]:
            for number in range(num_batches):
                for images in self.stream.batch(self.state.step + number).images.chunk(self.options.accumulation):
                    yield images.contiguous(memory_format=torch.channels_last)

        def forward(images: Tensor) -> None:
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.options.use_bf16):
                self.model(images)

        reestimate_running_statistics(self.model, micro_batches(), forward)
        average_running_statistics(self.model)

    # --- logs, evaluations and checkpoints --------------------------------------------------------------------------

    def log(self) -> None:
        """Write a row with the training loss and error, averaged over the batches since the last row."""
        self._check_losses()
        loss, error = self.log_meter.read()
        self.log_meter.reset()
        # the rate that the step used; asked now, `learning_rate` may give another, as the warm-up may have ended since
        self._write(TrainRow(step=self.state.step, loss=loss, error=error, lr=self._rate))
        self._tick()
        if self.records.timing and self.world.is_main:
            seconds, waited = round(self.state.seconds, 3), round(self.state.waited_seconds, 3)
            self.records.timing.append(TimingRow(step=self.state.step, seconds=seconds, waited_seconds=waited))

    def evaluate(self) -> None:
        """Evaluate the monitored split; if `monitor.may_choose`, update the schedule, best weights and patience."""
        assert self.monitor is not None
        self._check_losses()
        with self.average.applied() if self.average else nullcontext():
            evaluation = self.monitor.evaluate(self.model)
        self.latest = self.state.step, evaluation
        counts = Counts.of(evaluation)
        self._write(
            EvaluationRow(
                step=self.state.step,
                split=self.monitor.split,
                correct=counts.correct,
                total=counts.total,
                loss=counts.loss,
                error=counts.error,
            )
        )
        if not self.monitor.may_choose:
            return
        if isinstance(self.learning_rate.schedule, PlateauDecay):
            self.learning_rate.schedule.observe(evaluation.error)
        if self.state.best_error is None or evaluation.error < self.state.best_error:
            self.state.best_error, self.state.best_step = evaluation.error, self.state.step
            self.state.evaluations_since_best = 0
            self.save()
        else:
            self.state.evaluations_since_best += 1

    def save(self) -> None:
        """Write a checkpoint of this step, once.

        Raises:
            RunError: The loss or the weights are not finite, so training could not resume from the checkpoint.
        """
        if self.records.checkpoints is None or self._last_saved == self.state.step:
            return
        self._check_losses()
        if not has_finite_weights(self.model):
            self._stop_diverged("the weights are not finite after", self.state.step)
        self._tick()
        checkpoint = self.checkpoint()  # sums over all processes, so every process must call it
        if self.world.is_main:
            for log in self.records.logs:
                log.sync()
            self.records.checkpoints.save(checkpoint)
        self._last_saved = self.state.step
        barrier()

    def _write(self, row: MetricsRow) -> None:
        if self.records.metrics and self.world.is_main:
            self.records.metrics.append(row)
        for observer in self.observers:
            observer.on_row(row)

    def _tick(self) -> None:
        now = time.monotonic()
        self.state.seconds += now - self._clock
        self._clock = now

    def _watch_warmup(self) -> None:
        warmup = self.learning_rate.warmup
        if isinstance(warmup, ErrorWarmup) and self.is_due(warmup.window_iterations):
            warmup.observe(self.warmup_meter.read()[1])
            self.warmup_meter.reset()

    def _has_lost_patience(self) -> bool:
        patience = self.options.patience_evaluations
        return patience is not None and self.state.evaluations_since_best >= patience

    def _check_losses(self) -> None:
        if not self.log_meter.is_finite():
            self._stop_diverged("the training loss is not finite at or shortly before", self.state.step)

    def _stop_diverged(self, what: str, step: int) -> NoReturn:
        raise divergence_error(f"{what} step {step}", self._rate, self.records.checkpoints)

    # --- state ------------------------------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """Return everything that resuming needs."""
        state = CheckpointState(
            train=replace(self.state),
            learning_rate=self.learning_rate.state_dict(),
            log_meter=self.log_meter.state_dict(),
            warmup_meter=self.warmup_meter.state_dict(),
        )
        tensors = {f"optimizer.{key}": value for key, value in read_optimizer_state(self.optimizer, self.model).items()}
        if self.average is not None:
            tensors |= {f"average.{key}": value.cpu().contiguous() for key, value in self.average.state_dict().items()}
        return Checkpoint(model=model_bytes(self.model, self.card), training=tensors, state=state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore weights, optimizer, schedule and running sums from a checkpoint; drop the log rows after its step."""
        self.load_weights(checkpoint)
        write_optimizer_state(self.optimizer, self.model, _under("optimizer.", checkpoint.training))
        self.state = replace(checkpoint.state.train)
        self.learning_rate.load_state_dict(checkpoint.state.learning_rate)
        self.log_meter.load_state_dict(checkpoint.state.log_meter, is_main=self.world.is_main)
        self.warmup_meter.load_state_dict(checkpoint.state.warmup_meter, is_main=self.world.is_main)
        self._last_saved = self.state.step
        self.cut_logs()

    def load_weights(self, checkpoint: Checkpoint) -> None:
        """Load the weights of a checkpoint, and their moving average if the trainer has one."""
        self.model.load_state_dict(safetensors.torch.load(checkpoint.model))
        if self.average is not None:
            self.average.load_state_dict(_under("average.", checkpoint.training))

    def cut_logs(self) -> None:
        """Drop the log rows after the current step, which a killed process may have left."""
        if self.world.is_main:
            for log in self.records.logs:
                log.truncate(self.state.step)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
