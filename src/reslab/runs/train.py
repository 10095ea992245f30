"""From a config to a complete run folder: the one place that composes build, train and evaluate."""

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from reslab import builders
from reslab.artifacts.model_file import ModelCard, save_model
from reslab.artifacts.run_folder import RunFolder
from reslab.config import RunConfig
from reslab.data import Dataset
from reslab.data.views import protocol
from reslab.distributed import barrier, check_batch, process_group, world_from_environment
from reslab.evaluation.metrics import Evaluation
from reslab.models import Network
from reslab.runs.context import RunContext, evaluate_split, prepare
from reslab.runs.data import begin_data, data_of_run
from reslab.runs.session import create_folder, engine_before, note_session, open_folder
from reslab.system.files import sha256_of
from reslab.system.memory import failing_for_memory, keep_freed_memory
from reslab.train import Monitor, Observer, Records, Trainer

log = logging.getLogger(__name__)

_WITH_LESS_MEMORY = (
    "'reslab train' takes less with --train.checkpoint_activations true, or with --train.accumulation N, each batch in "
    "N parts; in a new --run-dir."
)


def train_run(config: RunConfig, path: Path, *, resume: bool = False, observers: Sequence[Observer] = ()) -> RunFolder:
    """Train `config` into the run folder at `path`, evaluate the result, and write its model file.

    resume: go on with what is in the folder, from its newest whole checkpoint; the config must be the same.

    Raises UsageError for a folder that is not empty (without `resume`) or a config that differs from the folder's;
    RunError for missing data, a full disk, a loss that is not finite; Interrupted after Ctrl-C or SIGTERM, saved.
    """
    world = world_from_environment()
    check_batch(config.train.batch_size, world.size, config.train.accumulation)
    device = builders.choose_device(config.train, world)
    keep_freed_memory()
    if not resume:
        RunFolder.check_is_free(path)  # before any data is read
        builders.check_weights(config)
        if world.is_main:
            builders.warn_of_late_drops(config)
            builders.warn_of_long_warmup(config)
            builders.warn_of_large_groups(config, world)
    with process_group(world, device):
        data = data_of_run(RunFolder.open(path), config.data) if resume else begin_data(config.data, world)
        setting = prepare(config, device, world, data=data, engine=engine_before(path) if resume else None)
        folder = open_folder(path, setting) if resume else RunFolder(path)
        if resume and folder.result() is not None:
            log.info("%s is complete already.", path)
        else:
            with failing_for_memory(f"the training of {path}", _WITH_LESS_MEMORY):
                _train(setting, folder, resume, observers)
    return folder


def _train(setting: RunContext, folder: RunFolder, resume: bool, observers: Sequence[Observer]) -> None:
    trainer = make_trainer(setting, Records(folder.metrics, folder.timing, folder.checkpoints), observers)
    if not resume:
        builders.check_pieces(setting.config, setting.splits.train, setting.world)
        builders.check_sizes(setting.config, setting.preprocess, setting.splits.train)
        _load_weights(trainer, setting.config)
        create_folder(folder, setting)  # only now, when nothing is left that could be wrong with the config
    with folder.locked() if setting.world.is_main else nullcontext():
        if resume:
            if not _restore(trainer, folder):
                _load_weights(trainer, setting.config)
            note_session(folder, setting, trainer.state.step)
        try:
            trainer.fit()
            _finish(trainer, setting, folder)
        finally:
            trainer.stream.close()


def _load_weights(trainer: Trainer, config: RunConfig) -> None:
    if config.weights is None:
        return
    builders.load_weights(config, trainer.model, trainer.card)
    trainer.average = builders.build_average(config.train, trainer.model)


def _restore(trainer: Trainer, folder: RunFolder) -> bool:
    """Go on from the newest whole checkpoint, if there is one."""
    checkpoint, problems = folder.checkpoints.load_newest()
    for problem in problems:
        log.warning("%s The checkpoint before it is used.", problem)
    if checkpoint is None:
        log.info("%s has no checkpoint yet: training starts at step 0.", folder.path)
        trainer.cut_logs()
        return False
    trainer.restore(checkpoint)
    log.info("resumed at step %d.", checkpoint.step)
    return True


def make_trainer(setting: RunContext, records: Records | None = None, observers: Sequence[Observer] = ()) -> Trainer:
    """Return the trainer of a run, at step 0; without `records` it writes nothing."""
    config, splits, device = setting.config, setting.splits, setting.device
    model = builders.build_network(config, device, setting.engine)
    return Trainer(
        model,
        builders.build_optimizer(config, model),
        builders.build_learning_rate(config),
        builders.build_stream(config, splits.train, setting.preprocess, device, setting.world),
        builders.build_train_options(config, setting.engine, splits.train),
        card=ModelCard(preprocess=setting.preprocess, class_names=splits.train.class_names, recipe=config.recipe),
        device=device,
        world=setting.world,
        average=builders.build_average(config.train, model),
        monitor=_make_monitor(setting),
        records=records,
        observers=observers,
    )


def _make_monitor(setting: RunContext) -> Monitor | None:
    split = setting.config.train.monitor
    if split == "none":
        return None
    dataset = setting.splits.part(split)
    # the test set may be watched for a figure, but nothing may be chosen by it
    return Monitor(split, lambda model: evaluate_split(model, dataset, setting), may_choose=split != "test")


def _finish(trainer: Trainer, setting: RunContext, folder: RunFolder) -> None:
    """Choose the result, evaluate it once, write result.json and then the model file."""
    model, selected_step = _select(trainer, setting, folder)
    final = {
        name: _known(trainer, setting, name, selected_step) or evaluate_split(model, dataset, setting)
        for name, dataset in _final_splits(setting).items()
    }
    reported = next((name for name in ("test", "validation") if name in final), None)
    counts = {name: {**evaluation.to_dict(), "error": evaluation.error} for name, evaluation in final.items()}
    result = {
        "recipe": setting.config.recipe,
        "model": setting.config.model.label,
        "seed": setting.config.seed,
        "iterations": trainer.state.step,
        "selection": _selection_in_words(setting, selected_step),
        "selected_step": selected_step,
        "protocol": protocol(setting.splits.train, setting.preprocess),
        "reported_split": reported,
        "final": counts,
        "confusion": None if reported is None else final[reported].confusion.tolist(),
        "monitor": setting.config.train.monitor,
        "minutes": round(trainer.state.seconds / 60, 2),
        "waited_for_data": round(trainer.state.waited_seconds / max(trainer.state.seconds, 1e-9), 4),
    }
    if setting.world.is_main:
        metrics = {"split": reported, "protocol": result["protocol"], **counts.get(reported or "", {})}
        card = ModelCard(
            preprocess=trainer.card.preprocess,
            class_names=trainer.card.class_names,
            recipe=trainer.card.recipe,
            metrics=metrics,
        )
        save_model(folder.model_path, model, card)
        folder.write("result.json", {**result, "model_sha256": sha256_of(folder.model_path)})
    barrier()


def _known(trainer: Trainer, setting: RunContext, split: str, step: int) -> Evaluation | None:
    """Return what training counted on `split` already, with the very weights of the result; None if it did not."""
    if trainer.latest is None or split != setting.config.train.monitor or setting.config.train.bn_reestimate_batches:
        return None
    evaluated_step, evaluation = trainer.latest
    return evaluation if evaluated_step == step else None


def _final_splits(setting: RunContext) -> dict[str, Dataset]:
    splits = setting.splits
    parts = {"test": splits.test, "validation": splits.validation}
    if setting.config.train.final_training_error:
        parts["train"] = splits.train
    return {name: part for name, part in parts.items() if part is not None}


def _select(trainer: Trainer, setting: RunContext, folder: RunFolder) -> tuple[Network, int]:
    step = trainer.state.step
    if setting.config.train.select == "best" and trainer.state.best_step is not None:
        step = trainer.state.best_step
        trainer.load_weights(folder.checkpoints.load(step))
    if trainer.average is not None:
        trainer.model.load_state_dict(trainer.average.state_dict(), strict=False)
    if count := setting.config.train.bn_reestimate_batches:
        log.info("batch norm takes its running statistics anew, over %d training batches.", count)
        trainer.reestimate_running_statistics(count)
    return trainer.model, step


def _selection_in_words(setting: RunContext, step: int) -> str:
    if setting.config.train.select == "best":
        return f"lowest validation error (step {step})"
    return "none: the last weights"
