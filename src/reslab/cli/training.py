"""What `train` and `train-folder` do with a config: train it with progress and a live report, and print the result."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.artifacts.run_folder import RunFolder
    from reslab.config import RunConfig
    from reslab.report import LiveReport

_MUCH_WAITING = 0.2  # of the time of a run


def train_config(config: "RunConfig", path: Path, *, resume: bool) -> int:
    """Train a config, write its report, and print the result.

    Args:
        config: What to train.
        path: The run folder.
        resume: Whether to continue the run that is there.

    Returns:
        The exit code.
    """
    from reslab.distributed import world_from_environment
    from reslab.runs.train import train_run
    from reslab.system.progress import TrainProgress

    if not resume:
        check_is_free(path)
    if not world_from_environment().is_main:
        train_run(config, path, resume=resume)
        return 0
    title = f"{config.recipe} seed {config.seed}"
    with TrainProgress(title, config.train.iterations, config.train.batch_size) as progress:
        run = train_run(config, path, resume=resume, observers=[progress, *_live_report(path)])
    _print_result(run)
    return 0


def check_is_free(path: Path) -> None:
    """Check that a new run may be made at `path`.

    Raises:
        UsageError: Something is there already; the message names the flags to use.
    """
    from reslab.artifacts.run_folder import RunFolder

    try:
        RunFolder.check_is_free(path)
    except UsageError as error:
        raise UsageError(f"{error} Resume a run with --resume, or choose another folder with --run-dir.") from None


def _live_report(path: Path) -> "list[LiveReport]":
    """Return what keeps the report up to date during the training, if the packages for it are installed."""
    try:
        from reslab.report import LiveReport
    except ImportError:  # `_print_result` says so
        return []
    return [LiveReport(path)]


def _print_result(run: "RunFolder") -> None:
    """Print errors, selection and paths of a finished run, and write its report."""
    result = run.result()
    assert result is not None
    for split, counts in result.final.items():
        print(f"{split} error: {counts.error:.2f} % ({counts.wrong} of {counts.total} wrong; {result.protocol})")
    print(f"selection: {result.selection}")
    print_time(result.minutes, result.waited_for_data, run.path / "config.json")
    print(f"model file: {run.model_path}")
    try:
        from reslab.report import write_report
    except ImportError as error:
        print(f"no report: {error.name} is missing; install it with: pip install 'reslab[report]'", file=sys.stderr)
        return
    print(f"report: {write_report(run)}")


def print_time(minutes: float, waited: float, config: Path) -> None:
    """Print how long the run took and, if it waited long for its data, how to find out why.

    Args:
        minutes: Time spent in training.
        waited: The part of it spent waiting for data, from 0 to 1.
        config: The run's config.json.
    """
    print(f"time: {minutes:.1f} minutes, {100 * waited:.0f} % of it waiting for data")
    if waited > _MUCH_WAITING:
        print(f"The data slows this run down. To see where: reslab bench input {shlex.quote(str(config))}")
