"""A finished run as a record under results/, which is committed."""

from dataclasses import replace
from pathlib import Path

from reslab.artifacts.make_record import make_record, write_record
from reslab.artifacts.metrics_log import rate_drops
from reslab.artifacts.record import RecordDocument
from reslab.artifacts.run_folder import RunFolder
from reslab.artifacts.upgrade import FORMAT_VERSION
from reslab.config import RunConfig, from_dict, to_dict


def record_run(folder: RunFolder, results: Path, *, overwrite: bool = False, with_model: bool = True) -> Path:
    """Write the record of a finished run; see `reslab.artifacts.make_record.write_record`.

    Args:
        folder: The run.
        results: The folder of all records.
        overwrite: Overwrite the record of another result.
        with_model: Write a small network's model file next to the record.

    Returns:
        The record's path.
    """
    return write_record(folder, record_of(folder), results, replace=overwrite, with_model=with_model)


def record_of(folder: RunFolder) -> RecordDocument:
    """Return the record of a finished run; see `reslab.artifacts.make_record.make_record`."""
    config = from_dict(folder.config())
    document = {"format_version": FORMAT_VERSION, **to_dict(_without_paths(config))}
    return make_record(folder, document, _rate_drops(folder, config))


def _without_paths(config: RunConfig) -> RunConfig:
    weights = None if config.weights is None else Path(config.weights).name
    return replace(config, data=replace(config.data, path=None), weights=weights)


def _rate_drops(folder: RunFolder, config: RunConfig) -> tuple[int, ...]:
    schedule = config.schedule
    return rate_drops(
        folder.train_rows(),
        folder.rows(config.evaluation.monitor),
        milestones=schedule.milestones if schedule.kind == "step" else (),
        plateau_gamma=schedule.factor if schedule.kind == "plateau" else None,
    )
