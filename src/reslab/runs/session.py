"""What a session reads from a run's folder and adds to it: config, data, weights, and the machine it computes on."""

import datetime
import logging
from dataclasses import replace
from pathlib import Path

from reslab.artifacts.documents import EngineChoice, Environment, Session, WeightsFacts
from reslab.artifacts.run_folder import RunFolder
from reslab.config import RunConfig, differences, from_dict, to_dict
from reslab.distributed import barrier
from reslab.engines.hardware import collect_environment
from reslab.engines.training import Engine
from reslab.errors import RunError, UsageError
from reslab.runs.context import RunContext
from reslab.runs.data import data_facts, record_data
from reslab.system.files import sha256_of

log = logging.getLogger(__name__)


def read_config(folder: RunFolder) -> RunConfig:
    """Return the config of a run."""
    return from_dict(folder.config())


def create_folder(path: Path, context: RunContext) -> None:
    """Make the folder of a new run, with everything that is fixed before the first step.

    Args:
        path: Where; nothing may be there.
        context: What the run is made of.

    Raises:
        UsageError: Something is there already.
        RunError: The folder cannot be written.
    """
    weights = None if context.config.weights is None else _weights_facts(Path(context.config.weights))
    environment = Environment(data=data_facts(context.data), weights=weights, sessions=(_session(context, 0),))
    if context.world.is_main:
        files = record_data(context.data, context.config.data)
        RunFolder.create(path, to_dict(context.config), environment, files)
    barrier()


def check_same_run(folder: RunFolder, context: RunContext) -> None:
    """Check that a run may be resumed with a config, its data and its weights.

    Args:
        folder: The run.
        context: What it would be resumed with.

    Raises:
        UsageError: The config differs from the run's.
        RunError: The data or the weights are not those that the run began with.
    """
    check_same_config(folder, context.config)
    recorded, found = folder.environment().data.fingerprint, data_facts(context.data).fingerprint
    if recorded != found:
        raise RunError(
            f"{folder.path} was trained on different data (recorded fingerprint {recorded}, found {found}). Pass the "
            "original data, or start a new run."
        )
    _check_same_weights(folder, context.config.weights)


def check_same_config(folder: RunFolder, config: RunConfig) -> None:
    """Check that a config is the run's own, apart from where its data and weights are.

    Args:
        folder: The run.
        config: The config to compare.

    Raises:
        UsageError: It is not; the message lists the settings that differ.
    """
    # read and written again, so that a setting that came later counts with its default
    changed = differences(to_dict(read_config(folder)), to_dict(config))
    for key in ("data.path", "data.kind"):  # files may have moved; a fingerprint tells whether they are the same
        changed.pop(key, None)
    if None not in changed.get("weights", (None, None)):
        changed.pop("weights")
    if changed:
        listed = "; ".join(f"{key}: {old!r} in the run, {new!r} given" for key, (old, new) in changed.items())
        raise UsageError(
            f"{folder.path} was started with a different config ({listed}). Resume with the same config, or train "
            "into another folder."
        )


def _check_same_weights(folder: RunFolder, weights: str | None) -> None:
    """Compare only a file that exists: a run that has checkpoints does not need it any more."""
    if weights is None or not Path(weights).exists():
        return
    recorded, found = folder.environment().weights, _weights_facts(Path(weights))
    if recorded != found:
        before = f"recorded {recorded.file} of SHA-256 {recorded.sha256[:12]}" if recorded else "none are recorded"
        raise RunError(
            f"{folder.path} was started from different weights ({before}, found {found.file} of {found.sha256[:12]}). "
            "Pass the original file, or start a new run."
        )


def last_engine(folder: RunFolder) -> Engine:
    """Return the engine of a run's last session, so that a resumed run has the same bits."""
    session = folder.environment().sessions[-1]
    return Engine(
        precision=session.precision,
        fused_norm=session.fused_norm,
        compiled=session.is_compiled,
        reason="as in this run's last session",
    )


def add_session(folder: RunFolder, context: RunContext, step: int) -> None:
    """Add this session to the run's environment; warn if the run cannot continue bit for bit.

    Args:
        folder: The run.
        context: What the session computes with.
        step: The step that it starts from.
    """
    environment = folder.environment()
    session = _session(context, step)
    now, before = _what_bits_depend_on(session), _what_bits_depend_on(environment.sessions[-1])
    if changed := [name for name, value in now.items() if before[name] != value]:
        log.warning("changed since the last session: %s. The run continues, but not bit for bit.", ", ".join(changed))
    if context.world.is_main:
        folder.write_environment(replace(environment, sessions=(*environment.sessions, session)))


def _what_bits_depend_on(session: Session) -> dict[str, str | int | dict[str, str]]:
    names = ("device", "precision", "fused_norm", "is_compiled", "world_size")
    machine = {"threads": session.machine.threads, "packages": session.machine.packages}
    return {**{name: getattr(session, name) for name in names}, **machine}


def _session(context: RunContext, step: int) -> Session:
    return Session(
        from_step=step,
        date=datetime.date.today().isoformat(),
        device=context.device.type,
        precision=context.engine.precision,
        fused_norm=context.engine.fused_norm,
        is_compiled=context.engine.compiled,
        world_size=context.world.size,
        engine=EngineChoice(reason=context.engine.reason, images_per_second=context.engine.rates),
        machine=collect_environment(),
    )


def _weights_facts(path: Path) -> WeightsFacts:
    return WeightsFacts(file=path.name, sha256=sha256_of(path))
