"""Turn a config into a complete run folder: build the network, train it and evaluate it."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from reslab import builders
from reslab.artifacts.documents import Counts, ReportedCounts, RunResult
from reslab.artifacts.model_file import ModelCard, save_model
from reslab.artifacts.run_folder import RunFolder
from reslab.config import RunConfig
from reslab.data import Dataset
from reslab.data.views import describe_view
from reslab.distributed import World, barrier, check_batch, process_group, world_from_environment
from reslab.engines.hardware import pick_device
from reslab.evaluation.metrics import Evaluation
from reslab.models import Network
from reslab.runs.context import RunContext, make_context
from reslab.runs.data import begin_data, data_of_run
from reslab.runs.session import add_session, check_same_run, create_folder, last_engine
from reslab.system.files import sha256_of
from reslab.system.memory import explain_out_of_memory, keep_freed_memory
from reslab.train import Monitor, Observer, Records, Trainer

log = logging.getLogger(__name__)

_WITH_LESS_MEMORY = (
    "A new run needs less memory with compute.checkpoint_activations, or with a larger train.accumulation_steps, "
    "which divides each batch into that many micro-batches."
)


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that this process trains.

    Attributes:
        context: What it is made of.
        folder: Its folder, locked by the main process.
        trainer: Its trainer, at the step to continue from.
    """

    context: RunContext
    folder: RunFolder
    trainer: Trainer


def train_run(config: RunConfig, path: Path, *, resume: bool = False, observers: Sequence[Observer] = ()) -> RunFolder:
    """Train a config into a run folder, evaluate the result, and write its model file.

    Args:
        config: What to train. A resumed run needs the config that it was started with.
        path: The run folder: a new one, or the one to resume.
        resume: Continue from the newest undamaged checkpoint in the folder.
        observers: What watches the training, such as a progress bar.

    Returns:
        The finished run's folder.

    Raises:
        UsageError: The folder is not empty (without `resume`), or the config differs from the folder's.
        RunError: Data is missing, the disk or the memory is full, or the loss is not finite.
        Interrupted: After Ctrl-C or SIGTERM, with the state saved.
    """
    world = world_from_environment()
    check_batch(config.train.batch_size, world.size, config.train.accumulation_steps)
    device = pick_device(config.compute.device, world.local_rank)
    keep_freed_memory()
    open_run = resume_run if resume else start_run
    with process_group(world, device), explain_out_of_memory(f"the training of {path}", _WITH_LESS_MEMORY):
        _fit_and_finish(open_run(config, path, device, world, observers))
    return RunFolder(path)


def _fit_and_finish(opened: AbstractContextManager[OpenRun | None]) -> None:
    """Train and finish a run.

    This is a function of its own so that its variables, and with them every replica of the network, are gone before
    the process group ends.
    """
    with opened as run:
        if run is None:
            return
        run.trainer.fit()
        _finish(run)


@contextmanager
def start_run(
    config: RunConfig, path: Path, device: torch.device, world: World, observers: Sequence[Observer] = ()
) -> Iterator[OpenRun]:
    """Check a config against its data and machine, then make its run folder and trainer.

    Args:
        config: What to train.
        path: The run folder to make; if it exists, it must be empty.
        device: What to compute on.
        world: This process's place among all that train together.
        observers: What watches the training.

    Yields:
        The run, at step 0.

    Raises:
        UsageError: The folder is not empty, or a setting does not fit the data.
        RunError: The data or the weights are missing or damaged, or this machine cannot run the config.
    """
    RunFolder.check_is_free(path)  # before any data is read
    builders.check_weights(config)
    if world.is_main:
        builders.warn_of_unused_settings(config, world)
    context = make_context(config, begin_data(config.data, world), device, world)
    builders.check_micro_batches(context.config, context.splits.train, world)
    builders.check_image_size(context.config, context.preprocess, context.splits.train)
    folder = RunFolder(path)
    trainer = make_trainer(context, _records(folder), observers)
    _load_weights(trainer, context.config)
    create_folder(path, context)
    with _lock(folder, world), closing(trainer.stream):
        yield OpenRun(context, folder, trainer)


@contextmanager
def resume_run(
    config: RunConfig, path: Path, device: torch.device, world: World, observers: Sequence[Observer] = ()
) -> Iterator[OpenRun | None]:
    """Open a run at its newest checkpoint, with the data and engine (precision, kernel, compilation) it had before.

    Args:
        config: The config that the run was started with.
        path: The run folder.
        device: What to compute on.
        world: This process's place among all that train together.
        observers: What watches the training.

    Yields:
        The run; None if it is complete already.

    Raises:
        UsageError: The config differs from the run's.
        RunError: This is not a run folder, another process is training it, or its data or weights have changed.
    """
    folder = RunFolder.open(path)
    context = make_context(config, data_of_run(folder, config.data), device, world, engine=last_engine(folder))
    check_same_run(folder, context)
    if folder.result() is not None:
        log.info("%s is complete already.", path)
        yield None
        return
    trainer = make_trainer(context, _records(folder), observers)
    with _lock(folder, world), closing(trainer.stream):
        if not _restore(trainer, folder):
            _load_weights(trainer, context.config)
        add_session(folder, context, trainer.state.step)
        yield OpenRun(context, folder, trainer)


def _records(folder: RunFolder) -> Records:
    return Records(folder.metrics, folder.timing, folder.checkpoints)


def _lock(folder: RunFolder, world: World) -> AbstractContextManager[None]:
    return folder.locked() if world.is_main else nullcontext()


def _load_weights(trainer: Trainer, config: RunConfig) -> None:
    if config.weights is None:
        return
    builders.load_weights(config, trainer.model, trainer.card)
    trainer.average = builders.build_average(config.train, trainer.model)


def _restore(trainer: Trainer, folder: RunFolder) -> bool:
    """Restore the newest undamaged checkpoint, if there is one."""
    checkpoint, problems = folder.checkpoints.load_newest()
    for problem in problems:
        log.warning("%s Trying the previous checkpoint instead.", problem)
    if checkpoint is None:
        log.info("%s has no checkpoint yet: training starts at step 0.", folder.path)
        trainer.cut_logs()
        return False
    trainer.restore(checkpoint)
    log.info("resumed at step %d.", checkpoint.step)
    return True


def make_trainer(context: RunContext, records: Records | None = None, observers: Sequence[Observer] = ()) -> Trainer:
    """Make the trainer of a run, at step 0.

    Args:
        context: What the run is made of.
        records: Where it writes; None for a trainer that writes nothing.
        observers: What watches the training.
    """
    config, splits, device = context.config, context.splits, context.device
    model = builders.build_network(config, device, context.engine)
    return Trainer(
        model,
        builders.build_optimizer(config, model),
        builders.build_learning_rate(config),
        builders.build_stream(config, splits.train, context.preprocess, device, context.world),
        builders.build_train_options(config, context.engine, splits.train),
        card=ModelCard(preprocess=context.preprocess, class_names=splits.train.class_names, recipe=config.recipe),
        device=device,
        world=context.world,
        average=builders.build_average(config.train, model),
        monitor=_make_monitor(context),
        records=records,
        observers=observers,
    )


def _make_monitor(context: RunContext) -> Monitor | None:
    split = context.config.evaluation.monitor
    if split == "none":
        return None
    dataset = context.splits.part(split)
    # the test error may be monitored, so that it can be plotted, but it must not select the weights
    return Monitor(split, lambda model: context.evaluate(model, dataset), may_choose=split != "test")


def _finish(run: OpenRun) -> None:
    """Select the final weights, evaluate them once, and write the model file and then result.json."""
    trainer, context, folder = run.trainer, run.context, run.folder
    model, selected_step = _select(trainer, context, folder)
    final = {
        name: _known(trainer, context, name, selected_step) or context.evaluate(model, dataset)
        for name, dataset in _final_splits(context).items()
    }
    if context.world.is_main:
        reported = next((name for name in ("test", "validation") if name in final), None)
        counts = {name: Counts.of(evaluation) for name, evaluation in final.items()}
        words = describe_view(context.splits.train, context.preprocess)
        metrics = ReportedCounts(split=reported, protocol=words, **asdict(counts[reported])) if reported else None
        save_model(folder.model_path, model, replace(trainer.card, metrics=metrics))
        result = RunResult(
            recipe=context.config.recipe,
            model=context.config.model.label,
            seed=context.config.seed,
            iterations=trainer.state.step,
            selection=_selection_in_words(context, selected_step),
            selected_step=selected_step,
            is_checkpoint=trainer.average is None and not context.config.batch_norm.reestimate_batches,
            protocol=words,
            reported_split=reported,
            final=counts,
            confusion=None if reported is None else final[reported].cells(),
            monitor=context.config.evaluation.monitor,
            minutes=round(trainer.state.seconds / 60, 2),
            waited_for_data=round(trainer.state.waited_seconds / max(trainer.state.seconds, 1e-9), 4),
            model_sha256=sha256_of(folder.model_path),
        )
        folder.write_result(result)
    barrier()


def _known(trainer: Trainer, context: RunContext, split: str, step: int) -> Evaluation | None:
    """Return the evaluation of `split` that training made at `step`, if it used exactly the final weights."""
    if (
        trainer.latest is None
        or split != context.config.evaluation.monitor
        or context.config.batch_norm.reestimate_batches
    ):
        return None
    evaluated_step, evaluation = trainer.latest
    return evaluation if evaluated_step == step else None


def _final_splits(context: RunContext) -> dict[str, Dataset]:
    splits = context.splits
    parts = {"test": splits.test, "validation": splits.validation}
    if context.config.evaluation.final_training_error:
        parts["train"] = splits.train
    return {name: part for name, part in parts.items() if part is not None}


def _select(trainer: Trainer, context: RunContext, folder: RunFolder) -> tuple[Network, int]:
    step = trainer.state.step
    if context.config.evaluation.select == "best" and trainer.state.best_step is not None:
        step = trainer.state.best_step
        trainer.load_weights(folder.checkpoints.load(step))
    if trainer.average is not None:
        trainer.model.load_state_dict(trainer.average.state_dict(), strict=False)
    if count := context.config.batch_norm.reestimate_batches:
        log.info("batch norm re-estimates its running statistics over %d training batches.", count)
        trainer.reestimate_running_statistics(count)
    return trainer.model, step


def _selection_in_words(context: RunContext, step: int) -> str:
    if context.config.evaluation.select == "best":
        return f"lowest validation error (step {step})"
    return "none: the last weights"
