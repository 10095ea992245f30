"""From a config to a complete run folder: the one place that composes build, train and evaluate."""

import datetime
import hashlib
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reslab import build, environment
from reslab.allocator import keep_freed_memory
from reslab.build_stream import build_stream
from reslab.config import RunConfig, differences, from_dict, to_dict
from reslab.data import Dataset, Splits
from reslab.data.views import batches, protocol
from reslab.distributed import World, barrier, check_batch, process_group, world_from_environment
from reslab.engine import Engine
from reslab.errors import Failure, UsageError
from reslab.evaluate import evaluate
from reslab.metrics import Evaluation
from reslab.modelfile import ModelCard, save_model
from reslab.models import Network
from reslab.rundata import RunData, begin_data, data_facts, data_of_run, record_data
from reslab.runfolder import RunFolder
from reslab.spec import PreprocessSpec
from reslab.train import Monitor, Observer, Records, Trainer

log = logging.getLogger(__name__)

EVALUATION_BATCH = 500


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is made of, once its config met its data and its machine."""

    config: RunConfig
    data: RunData
    preprocess: PreprocessSpec
    device: torch.device
    world: World
    engine: Engine

    @property
    def splits(self) -> Splits:
        return self.data.splits


def train_run(config: RunConfig, path: Path, *, resume: bool = False, observers: Sequence[Observer] = ()) -> RunFolder:
    """Train `config` into the run folder at `path`, evaluate the result, and write its model file.

    resume: go on with what is in the folder, from its newest whole checkpoint; the config must be the same.

    Raises UsageError for a folder that is not empty (without `resume`) or a config that differs from the folder's;
    Failure for missing data, a full disk, a loss that is not finite; Interrupted after Ctrl-C or SIGTERM, saved.
    """
    world = world_from_environment()
    check_batch(config.train.batch_size, world.size, config.train.accumulation)
    device = build.choose_device(config.train, world)
    keep_freed_memory()
    if not resume:
        RunFolder.check_is_free(path)  # before any data is read
        build.check_weights(config)
    with process_group(world, device):
        data = data_of_run(RunFolder.open(path), config.data) if resume else begin_data(config.data, world)
        setting = prepare(config, device, world, data=data, engine=_engine_before(path) if resume else None)
        folder = _open(path, setting) if resume else RunFolder(path)
        if resume and folder.result() is not None:
            log.info("%s is complete already.", path)
        else:
            _train(setting, folder, resume, observers)
    return folder


def _train(setting: Setting, folder: RunFolder, resume: bool, observers: Sequence[Observer]) -> None:
    trainer = make_trainer(setting, Records(folder.metrics, folder.timing, folder.checkpoints), observers)
    if not resume:
        _load_weights(trainer, setting.config)
        _create(folder, setting)  # only now, when nothing is left that could be wrong with the config
    with folder.locked() if setting.world.is_main else nullcontext():
        if resume:
            if not _restore(trainer, folder):
                _load_weights(trainer, setting.config)
            _note_session(folder, setting, trainer.state.step)
        try:
            trainer.fit()
            _finish(trainer, setting, folder)
        finally:
            trainer.stream.close()


def prepare(
    config: RunConfig,
    device: torch.device,
    world: World,
    *,
    data: RunData | None = None,
    engine: Engine | None = None,
) -> Setting:
    """Fit the config's network to its data, and pick the engine, unless it is the one of an earlier start.

    data: what the run settled on; None opens it as it is, without looking at each file.
    """
    data = data or RunData(build.build_splits(config.data))
    splits = data.splits
    matched = build.match_model_to_data(config, splits.train)
    if matched.model != config.model:
        log.info("%s has %d classes and %d channel(s): the network was given as many.",
                 splits.train.name, matched.model.num_classes, matched.model.in_channels)  # fmt: skip
    if config.train.monitor != "none":
        splits.part(config.train.monitor)  # say now, not after hours, that it is missing
    preprocess = build.build_preprocess(config.data, splits.train, config.weights)
    chosen = build.choose_engine(matched, preprocess, device, world, before=engine)
    log.info("engine: %s (%s)%s", chosen.label, chosen.reason, _in_words(chosen.rates))
    return Setting(matched, data, preprocess, device, world, chosen)


def _in_words(rates: dict[str, float]) -> str:
    listed = "; ".join(f"{label}: {rate:.0f} images/s" for label, rate in rates.items())
    return f": {listed}." if listed else "."


def _engine_before(path: Path) -> Engine:
    """Return the engine of a run's last start, so that the run goes on to the same last bit."""
    session = RunFolder.open(path).environment()["sessions"][-1]
    return Engine(
        precision=session["precision"],
        fused_norm=session.get("fused_norm", False),  # runs from before there was a kernel
        compiled=session["is_compiled"],
        reason="as this run began",
    )


def read_config(folder: RunFolder) -> RunConfig:
    """Return the config of a run."""
    return from_dict(folder.config())


def evaluate_on(
    model: nn.Module, dataset: Dataset, preprocess: PreprocessSpec, device: torch.device, world: World | None = None
) -> tuple[Evaluation, str]:
    """Evaluate a network on a data set, every sample once over all processes; return it with its protocol in words."""
    world = world or World()
    views = batches(
        dataset, preprocess, batch_size=EVALUATION_BATCH, device=device, rank=world.rank, world_size=world.size
    )
    found = evaluate(model, views, num_classes=len(dataset.class_names), device=device)
    return found, protocol(dataset, preprocess)


def evaluate_split(model: nn.Module, dataset: Dataset, setting: Setting) -> Evaluation:
    """Evaluate a network on one part of the run's data."""
    return evaluate_on(model, dataset, setting.preprocess, setting.device, setting.world)[0]


# --- the folder -------------------------------------------------------------------------------------------------------


def _session(setting: Setting, step: int) -> dict[str, Any]:
    return {
        "from_step": step,
        "date": datetime.date.today().isoformat(),
        "device": setting.device.type,
        "precision": setting.engine.precision,
        "fused_norm": setting.engine.fused_norm,
        "is_compiled": setting.engine.compiled,
        "engine": {"reason": setting.engine.reason, "images_per_second": setting.engine.rates},
        "world_size": setting.world.size,
        **environment.collect(),
    }


def _create(folder: RunFolder, setting: Setting) -> None:
    facts: dict[str, Any] = {"data": data_facts(setting.data), "sessions": [_session(setting, 0)]}
    if setting.config.weights is not None:
        facts["weights"] = _weights_facts(setting.config)
    if setting.world.is_main:
        files = record_data(setting.data, setting.config.data)
        RunFolder.create(folder.path, to_dict(setting.config), facts, files)
    barrier()


def _open(path: Path, setting: Setting) -> RunFolder:
    folder = RunFolder.open(path)
    # read and written again, so that a setting that came later counts with its default
    changed = differences(to_dict(read_config(folder)), to_dict(setting.config))
    changed.pop("data.path", None)  # files may have moved; a fingerprint tells whether they are the same
    if None not in changed.get("weights", (None, None)):
        changed.pop("weights")
    if changed:
        listed = "; ".join(f"{key}: {old!r} there, {new!r} now" for key, (old, new) in changed.items())
        raise UsageError(
            f"{path} was started with another config ({listed}); resume with the same, or use a new --run-dir."
        )
    there, now = folder.environment()["data"], data_facts(setting.data)
    if there["fingerprint"] != now["fingerprint"]:
        raise Failure(f"{path} was trained on other data: {there} there, {now} now.")
    _check_weights(folder, setting.config)
    return folder


def _check_weights(folder: RunFolder, config: RunConfig) -> None:
    """Failure for other weights than the run began with; a file that is gone is missed only when it is needed."""
    there = folder.environment().get("weights")
    if config.weights is not None and Path(config.weights).exists() and (now := _weights_facts(config)) != there:
        raise Failure(f"{folder.path} was started from other weights: {there} there, {now} now.")


def _weights_facts(config: RunConfig) -> dict[str, str] | None:
    if config.weights is None:
        return None
    path = Path(config.weights)
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _load_weights(trainer: Trainer, config: RunConfig) -> None:
    if config.weights is None:
        return
    build.load_weights(config, trainer.model, trainer.card)
    trainer.average = build.build_average(config.train, trainer.model)


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


def _note_session(folder: RunFolder, setting: Setting, step: int) -> None:
    """Add this start to the run's environment, and say when the numbers cannot repeat to the last bit."""
    known = folder.environment()
    session = _session(setting, step)
    keys = ("device", "precision", "fused_norm", "is_compiled", "world_size", "threads", "packages")
    before = {"fused_norm": False, **known["sessions"][-1]}
    changed = [key for key in keys if before.get(key) != session.get(key)]
    if changed:
        log.warning("not as before: %s. The run goes on, but not to the same last bit.", ", ".join(changed))
    if setting.world.is_main:
        folder.write("environment.json", {**known, "sessions": [*known["sessions"], session]})


# --- training and its end ---------------------------------------------------------------------------------------------


def make_trainer(setting: Setting, records: Records | None = None, observers: Sequence[Observer] = ()) -> Trainer:
    """Return the trainer of a run, at step 0; without `records` it writes nothing."""
    config, splits, device = setting.config, setting.splits, setting.device
    model = build.build_network(config, device, setting.engine)
    return Trainer(
        model,
        build.build_optimizer(config, model),
        build.build_learning_rate(config),
        build_stream(config, splits.train, setting.preprocess, device, setting.world),
        build.build_loop(config.train, setting.engine, splits.train),
        card=ModelCard(preprocess=setting.preprocess, class_names=splits.train.class_names, recipe=config.recipe),
        device=device,
        world=setting.world,
        average=build.build_average(config.train, model),
        monitor=_make_monitor(setting),
        records=records,
        observers=observers,
    )


def _make_monitor(setting: Setting) -> Monitor | None:
    split = setting.config.train.monitor
    if split == "none":
        return None
    dataset = setting.splits.part(split)
    # the test set may be watched for a figure, but nothing may be chosen by it
    return Monitor(split, lambda model: evaluate_split(model, dataset, setting), may_choose=split != "test")


def _finish(trainer: Trainer, setting: Setting, folder: RunFolder) -> None:
    """Choose the result, evaluate it once, write result.json and then the model file."""
    model, selected_step = _select(trainer, setting, folder)
    final = {name: evaluate_split(model, dataset, setting) for name, dataset in _final_splits(setting).items()}
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
        folder.write("result.json", result)
    barrier()


def _final_splits(setting: Setting) -> dict[str, Dataset]:
    splits = setting.splits
    parts = {"test": splits.test, "validation": splits.validation}
    if setting.config.train.final_training_error:
        parts["train"] = splits.train
    return {name: part for name, part in parts.items() if part is not None}


def _select(trainer: Trainer, setting: Setting, folder: RunFolder) -> tuple[Network, int]:
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


def _selection_in_words(setting: Setting, step: int) -> str:
    if setting.config.train.select == "best":
        return f"lowest validation error (step {step})"
    return "none: the last weights"
