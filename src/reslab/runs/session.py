"""A run's folder as a start finds or leaves it: config, data, weights, and on what each start computed."""

import datetime
import hashlib
import logging
from pathlib import Path
from typing import Any

from reslab.artifacts.run_folder import RunFolder
from reslab.config import RunConfig, differences, from_dict, to_dict
from reslab.distributed import barrier
from reslab.engines.hardware import collect_environment
from reslab.engines.training import Engine
from reslab.errors import RunError, UsageError
from reslab.runs.context import RunContext
from reslab.runs.data import data_facts, record_data

log = logging.getLogger(__name__)


def read_config(folder: RunFolder) -> RunConfig:
    """Return the config of a run."""
    return from_dict(folder.config())


def _session_facts(setting: RunContext, step: int) -> dict[str, Any]:
    return {
        "from_step": step,
        "date": datetime.date.today().isoformat(),
        "device": setting.device.type,
        "precision": setting.engine.precision,
        "fused_norm": setting.engine.fused_norm,
        "is_compiled": setting.engine.compiled,
        "engine": {"reason": setting.engine.reason, "images_per_second": setting.engine.rates},
        "world_size": setting.world.size,
        **collect_environment(),
    }


def create_folder(folder: RunFolder, setting: RunContext) -> None:
    """Make the folder of a new run, with all that is settled before the first step."""
    facts: dict[str, Any] = {"data": data_facts(setting.data), "sessions": [_session_facts(setting, 0)]}
    if setting.config.weights is not None:
        facts["weights"] = _weights_facts(setting.config)
    if setting.world.is_main:
        files = record_data(setting.data, setting.config.data)
        RunFolder.create(folder.path, to_dict(setting.config), facts, files)
    barrier()


def open_folder(path: Path, setting: RunContext) -> RunFolder:
    """Open the folder of a run to go on with; UsageError for another config, RunError for other data or weights."""
    folder = RunFolder.open(path)
    check_same_config(folder, setting.config)
    there, now = folder.environment()["data"], data_facts(setting.data)
    if there["fingerprint"] != now["fingerprint"]:
        raise RunError(f"{path} was trained on other data: {there} there, {now} now.")
    _check_weights(folder, setting.config)
    return folder


def check_same_config(folder: RunFolder, config: RunConfig) -> None:
    """UsageError, with what differs, for another config than that of the folder."""
    # read and written again, so that a setting that came later counts with its default
    changed = differences(to_dict(read_config(folder)), to_dict(config))
    for where in ("data.path", "data.kind"):  # files may have moved; a fingerprint tells whether they are the same
        changed.pop(where, None)
    if None not in changed.get("weights", (None, None)):
        changed.pop("weights")
    if changed:
        listed = "; ".join(f"{key}: {old!r} there, {new!r} now" for key, (old, new) in changed.items())
        raise UsageError(
            f"{folder.path} was started with another config ({listed}); resume with the same, or use a new --run-dir."
        )


def _check_weights(folder: RunFolder, config: RunConfig) -> None:
    """RunError for other weights than the run began with; a file that is gone is missed only when it is needed."""
    there = folder.environment().get("weights")
    if config.weights is not None and Path(config.weights).exists() and (now := _weights_facts(config)) != there:
        raise RunError(f"{folder.path} was started from other weights: {there} there, {now} now.")


def _weights_facts(config: RunConfig) -> dict[str, str] | None:
    if config.weights is None:
        return None
    path = Path(config.weights)
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def note_session(folder: RunFolder, setting: RunContext, step: int) -> None:
    """Add this start to the run's environment, and say when the numbers cannot repeat to the last bit."""
    known = folder.environment()
    session = _session_facts(setting, step)
    keys = ("device", "precision", "fused_norm", "is_compiled", "world_size", "threads", "packages")
    before = {"fused_norm": False, **known["sessions"][-1]}
    changed = [key for key in keys if before.get(key) != session.get(key)]
    if changed:
        log.warning("not as before: %s. The run goes on, but not to the same last bit.", ", ".join(changed))
    if setting.world.is_main:
        folder.write("environment.json", {**known, "sessions": [*known["sessions"], session]})


def engine_before(path: Path) -> Engine:
    """Return the engine of a run's last start, so that the run goes on to the same last bit."""
    session = RunFolder.open(path).environment()["sessions"][-1]
    return Engine(
        precision=session["precision"],
        fused_norm=session.get("fused_norm", False),  # runs from before there was a kernel
        compiled=session["is_compiled"],
        reason="as this run began",
    )
