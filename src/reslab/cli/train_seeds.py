"""Several seeds by one command: which ones, where each goes, and the plan that they share."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.errors import UsageError
from reslab.runs.parallel import check_no_torchrun, run_side_by_side

from .config_args import begun_by_plan, choose, read_settings
from .folder_args import RECIPE as PLANNED

if TYPE_CHECKING:
    from reslab.config import RunConfig


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of "0,1,2" or "0-4"; UsageError for anything else and for a seed named twice."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"--seeds is {text!r}; allowed: seeds like 0,1,2 or 0-4.")
        if int(last or first) < int(first):
            raise UsageError(f"--seeds is {text!r}: the range {first}-{last} runs backwards; {last}-{first} is meant?")
        seeds += range(int(first), int(last or first) + 1)
    if len(set(seeds)) != len(seeds) or not seeds:
        raise UsageError(f"--seeds is {text!r}: every seed once.")
    return seeds


def train_seeds(
    recipe: str | None,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    resume: bool,
    seed: int | None,
    seeds: str,
    jobs: int,
    given: dict[str, Any],
    wishes: dict[str, Any],
) -> int:
    """Check config and folders once, then train every seed by a command of its own; return the worst exit code.

    given: what the flags --data, --data-kind, --weights and --config say; wishes: those of `train folder`.
    """
    from reslab.artifacts.run_folder import RunFolder

    check_no_torchrun("--seeds")
    if recipe is None or seed is not None:
        raise UsageError("--seeds needs a recipe (reslab train RECIPE --seeds 0,1,2) and takes the place of --seed.")
    numbers = parse_seeds(seeds)
    settings = read_settings(recipe, overrides, **given)
    run_dir = run_dir or begun_by_plan(recipe, resume, Path("runs", PLANNED))
    chosen = choose(recipe, run_dir, resume, settings, wishes)
    folder = run_dir or Path("runs") / chosen.recipe
    if RunFolder.is_run(folder):
        raise UsageError(f"{folder} is a run; --seeds makes one for each seed below it: choose another --run-dir.")
    begun = {number for number in numbers if resume and (folder / str(number) / "config.json").exists()}
    for number in set(numbers) - begun:
        RunFolder.check_is_free(folder / str(number))
    if recipe == PLANNED:  # every seed by one plan
        recipe, overrides = _keep_plan(chosen, folder, is_begun=bool(begun)), ()
        given = {key: given[key] for key in ("data", "data_kind")}  # the pictures may have moved since
    named = {f"--{name.replace('_', '-')}": value for name, value in given.items() if value is not None}
    flags = [text for flag, value in named.items() for text in (flag, str(value))]
    commands = []
    for number in numbers:
        place = ["--seed", str(number), "--run-dir", str(folder / str(number))]
        commands.append(["train", recipe, *overrides, *flags, *place, *(["--resume"] if number in begun else [])])
    return run_side_by_side(commands, jobs)


def _keep_plan(config: "RunConfig", folder: Path, *, is_begun: bool) -> str:
    """Write the plan of several seeds, and return its path; one that seeds began by stays, and must be the same."""
    from reslab.artifacts.run_folder import RunFolder
    from reslab.config import to_dict
    from reslab.runs.session import check_same_config

    path, plan = folder / "config.json", RunFolder(folder)
    if is_begun and path.is_file():
        check_same_config(plan, config)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        plan.write(path.name, to_dict(config))
    return str(path)
