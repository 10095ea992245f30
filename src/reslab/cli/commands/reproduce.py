"""`reslab reproduce`."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from cyclopts import Parameter

from reslab.cli.extras import need_report_extra
from reslab.cli.output import print_table
from reslab.cli.types import DATA, OUTPUT, Switch, WholeNumber
from reslab.errors import Interrupted, RunError, UsageError, check_choice
from reslab.runs.parallel import check_no_torchrun
from reslab.system.files import check_can_be_written

if TYPE_CHECKING:
    from reslab.experiments.arms import Size
    from reslab.experiments.experiment import AnyExperiment
    from reslab.experiments.run_experiment import Setup

log = logging.getLogger(__name__)


def reproduce(
    *names: str,
    all: Switch = False,
    size: str = "digits",
    seeds: WholeNumber | None = None,
    jobs: WholeNumber | None = None,
    data: Annotated[str | None, Parameter(group=DATA)] = None,
    run_dir: Annotated[Path, Parameter(group=OUTPUT)] = Path("runs/experiments"),
    results: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
) -> int:
    """Test claims of the paper: train and measure what each claim needs, and write a page with the verdict.

    Each experiment tests one claim. Without a name, list the experiments. Finished runs in --run-dir and the results
    recorded in --results are used again; stopped runs are resumed. If one experiment fails, the others still run.

    Args:
        names: The experiments to run.
        all: Run all experiments.
        size: digits (images that come with the package; takes minutes), small (CIFAR-10, 6 epochs) or paper (CIFAR-10,
            the paper's schedule; meant for a GPU).
        seeds: How many seeds to train each network with; by default as many as the claim needs.
        jobs: How many networks to train at the same time. The default is 1; with size digits, it is the number of
            torch's threads, at most 8.
        data: The folder of CIFAR-10; by default, found below $RESLAB_DATA. For imagenet-nets the folder of photos.
        run_dir: Where the runs and the pages of results go.
        results: Where the results of runs are recorded as JSON; RUN_DIR/results by default.
    """
    need_report_extra()
    from reslab.experiments.arms import SIZES, Size
    from reslab.experiments.catalog import EXPERIMENTS, find_experiment
    from reslab.experiments.run_experiment import Setup, default_jobs
    from reslab.system.progress import TrainProgress

    if all and names:
        raise UsageError("--all takes no names: leave out the names or --all.")
    if not all and not names:
        if size != "digits" or (seeds, jobs, data, results) != (None,) * 4:
            raise UsageError(
                "no experiments are named. Name some, or use --all; 'reslab reproduce' without any flag lists them."
            )
        rows = [(experiment.name, experiment.title, experiment.source) for experiment in EXPERIMENTS.values()]
        print_table("", ("experiment", "claim", "paper"), rows, left=3)
        return 0
    check_choice("--size", size, SIZES)
    experiments = _all_at(cast(Size, size)) if all else [find_experiment(name) for name in names]
    _check_can_run(experiments, cast(Size, size), data)
    setup = Setup(
        runs=run_dir / "runs",
        results=results or run_dir / "results",
        data=None if data is None else str(Path(data).expanduser().resolve()),
        seeds=seeds,
        jobs=default_jobs(cast(Size, size)) if jobs is None else jobs,
        observe=TrainProgress,
    )
    for folder in (setup.runs, setup.results, run_dir / "book"):
        check_can_be_written(folder)
    if size == "paper":
        _warn_of_hours()
    _run_each(experiments, cast(Size, size), setup, run_dir / "book")
    print(f"book: {run_dir / 'book' / 'index.html'} (everything below {setup.results})")
    return 0


def _check_can_run(experiments: "Sequence[AnyExperiment]", size: "Size", data: str | None) -> None:
    """Check that every experiment runs at a size with the data that was named.

    Raises:
        UsageError: One does not.
    """
    check_no_torchrun("'reslab reproduce'")
    if data is not None and size == "digits":
        raise UsageError(
            "--data is the folder of CIFAR-10, but size 'digits' uses data that comes with the package: leave --data "
            "out."
        )
    for experiment in experiments:
        if size not in experiment.sizes:
            raise UsageError(f"{experiment.name} cannot run at size {size!r}; allowed: {', '.join(experiment.sizes)}.")
        if experiment.needs_photos(size) and data is None:
            raise UsageError(
                f"{experiment.name} trains on photos, which have no usual place: pass their folder (train/<class>/* "
                "and val/<class>/*) with --data."
            )


def _all_at(size: "Size") -> "list[AnyExperiment]":
    """Return the experiments that run at a size on its own data; those on photos are run by name."""
    from reslab.experiments.catalog import EXPERIMENTS

    found = [experiment for experiment in EXPERIMENTS.values() if size in experiment.sizes]
    on_photos = [experiment for experiment in found if experiment.needs_photos(size)]
    for experiment in on_photos:
        log.info("%s is left out: it trains on photos; run it by name, with --data.", experiment.name)
    return [experiment for experiment in found if experiment not in on_photos]


def _warn_of_hours() -> None:
    """Warn of the paper's size on a CPU, which is more often a mistake than a plan."""
    import torch

    if not torch.cuda.is_available():
        log.warning(
            "size 'paper' trains every network for 64,000 iterations. Without a GPU, which this machine lacks, that "
            "takes hours for the smallest and days for the deepest; size 'small' has 2,344 iterations."
        )


def _run_each(experiments: "Sequence[AnyExperiment]", size: "Size", setup: "Setup", book: Path) -> None:
    """Run one experiment after the other, and write the book after each.

    Raises:
        RunError: Names the experiments that failed; a single experiment fails with its own error.
    """
    from reslab.experiments.book import write_book
    from reslab.experiments.run_experiment import run_experiment

    failed, problem = [], None
    for experiment in experiments:
        try:
            verdicts = experiment.judge(run_experiment(experiment, size, setup))
        except Interrupted:
            raise
        except (RunError, UsageError, OSError) as error:
            if len(experiments) == 1:
                raise
            failed.append(experiment.name)
            print(f"reslab: {experiment.name}: {error}", file=sys.stderr)
            continue
        for verdict in verdicts:
            part = f", {verdict.part}" if verdict.part else ""
            print(f"{experiment.name} ({size}{part}): {verdict.label}. {verdict.sentence}")
        try:  # after each, so that a stop leaves what there is
            write_book(setup.results, book)
            problem = None
        except (RunError, UsageError) as error:  # in other evidence, which a later experiment may write again
            problem = error
    if failed:
        raise RunError(
            f"{len(failed)} of {len(experiments)} experiments failed: {', '.join(failed)}; the reasons are above."
        )
    if problem is not None:
        raise problem
