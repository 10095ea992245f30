"""`reslab train`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from reslab.cli.config_args import begun_by_plan, choose, read_settings, seed_of
from reslab.cli.folder_args import RECIPE as PLANNED
from reslab.cli.folder_args import check_flags
from reslab.cli.train_seeds import train_seeds
from reslab.cli.types import Whole
from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.report import LiveReport

_MUCH_WAITING = 0.2  # of the time of a run


def train(
    recipe: str | None = None,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    run_dir: Path | None = None,
    resume: bool = False,
    seed: Whole | None = None,
    seeds: str | None = None,
    jobs: Whole = 1,
    data: str | None = None,
    data_kind: str | None = None,
    weights: str | None = None,
    config: Path | None = None,
    model: str | None = None,
    epochs: Whole | None = None,
    size: Whole | None = None,
    skip_unreadable: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Train a network by a recipe, evaluate it, and write a run folder with its model file and report.

    Any setting of the recipe can be changed: --optim.lr 0.05, --train.iterations 1000, --schedule.kind cosine, ...
    'reslab recipes show RECIPE' lists them.

    Parameters
    ----------
    recipe
        A recipe's name ('reslab recipes' lists them), or the config.json of an earlier run to repeat it.
    run_dir
        The run folder to make; runs/RECIPE/SEED by default.
    resume
        Go on with what is in the run folder, from its newest checkpoint.
    seed
        The seed of initialisation, order and augmentation.
    seeds
        Several seeds, like 0,1,2 or 0-4, each in a process and a run folder of its own (RUN_DIR/SEED).
    jobs
        How many of the seeds to train side by side.
    data
        A data set's folder or archive; by default it is looked for under RESLAB_DATA.
    data_kind
        What the data is (digits, cifar10, cifar100, idx, folder), instead of recognising it.
    weights
        A model file of the same network (or its finished run) to start from, instead of a random initialisation; or a
        name on the Hugging Face hub (hf-hub:OWNER/NAME[@REVISION]), which is converted first. Classes the data has too
        are carried over.
    config
        A TOML file of settings; flags come after it.
    model
        For 'folder', photos of your own: a network's name, like resnet34 ('reslab describe --all' lists them).
    epochs
        For 'folder': how often every training image is seen.
    size
        For 'folder': side of the pictures that the network sees in evaluation, in pixels.
    skip_unreadable
        Leave out image files that cannot be read, and record them in the run, instead of refusing to train.
    """
    from reslab.distributed import world_from_environment
    from reslab.runs.train import train_run
    from reslab.system.progress import make_progress

    check_flags(recipe, model=model, epochs=epochs, size=size)
    if skip_unreadable:
        overrides = (*overrides, "--data.photos.skip_unreadable", "true")
    if seeds is not None:
        given = {"data": data, "data_kind": data_kind, "weights": weights, "config": config}
        wishes = {"model": model, "epochs": epochs, "size": size}
        return train_seeds(recipe, overrides, run_dir, resume, seed, seeds, jobs, given, wishes)
    if jobs != 1:
        raise UsageError("--jobs is for several seeds: give --seeds 0,1,2 too.")
    settings = read_settings(
        recipe, overrides, seed=seed, data=data, data_kind=data_kind, weights=weights, config=config
    )
    run_dir = run_dir or begun_by_plan(recipe, resume, Path("runs", PLANNED, str(seed_of(settings))))
    chosen = choose(recipe, run_dir, resume, settings, {"model": model, "epochs": epochs, "size": size})
    folder = run_dir or Path("runs") / chosen.recipe / str(chosen.seed)
    if not world_from_environment().is_main:
        train_run(chosen, folder, resume=resume)
        return 0
    with make_progress(
        f"{chosen.recipe} seed {chosen.seed}", chosen.train.iterations, chosen.train.batch_size
    ) as progress:
        done = train_run(chosen, folder, resume=resume, observers=[progress, *_live_report(folder)])
    _conclude(done)
    return 0


def _live_report(folder: Path) -> "list[LiveReport]":
    """Return what writes the report while the run goes on, where the packages for it are there."""
    try:
        from reslab.report import LiveReport
    except ImportError:  # said at the end, once
        return []
    return [LiveReport(folder)]


def _conclude(folder: Any) -> None:
    """Write the report, and say on standard output what came out and where it is."""
    result = folder.result()
    for split, counts in result["final"].items():
        wrong = counts["total"] - counts["correct"]
        print(f"{split} error: {counts['error']:.2f} % ({wrong} of {counts['total']} wrong; {result['protocol']})")
    print(f"selection: {result['selection']}")
    say_time(result, folder.path / "config.json")
    print(f"model file: {folder.model_path}")
    try:
        from reslab.report import write_report
    except ImportError as error:
        print(f"no report: {error.name} is missing; install it with: pip install 'reslab[report]'", file=sys.stderr)
        return
    print(f"report: {write_report(folder)}")


def say_time(result: dict[str, Any], config: Path) -> None:
    waited = result.get("waited_for_data", 0.0)  # runs from before it was measured have none
    print(f"time: {result['minutes']:.1f} minutes, {100 * waited:.0f} % of it waiting for data")
    if waited > _MUCH_WAITING:
        print(f"the data holds this run up; see where with: reslab bench input {shlex.quote(str(config))}")
