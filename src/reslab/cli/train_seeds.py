"""Several seeds by one command: which ones, and a process and a run folder for each."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reslab.errors import UsageError
from reslab.runs.parallel import check_no_torchrun, run_side_by_side

from .training import check_is_free

if TYPE_CHECKING:
    from reslab.config import RunConfig


def check_flags(*, seed: int | None, seeds: str | None, jobs: int) -> None:
    """Check the flags for several seeds.

    Args:
        seed: The value of --seed.
        seeds: The value of --seeds.
        jobs: The value of --jobs.

    Raises:
        UsageError: Flags exclude each other, or --jobs is below 1.
    """
    if seeds is None:
        if jobs != 1:
            raise UsageError("--jobs is for several seeds: add --seeds 0,1,2.")
        return
    check_no_torchrun("--seeds")
    if seed is not None:
        raise UsageError("--seeds replaces --seed: leave --seed out.")
    if jobs < 1:
        raise UsageError(f"--jobs is {jobs}; allowed: 1 or more.")


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of "0,1,2" or "0-4".

    Raises:
        UsageError: The text is neither, or names a seed twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"--seeds is {text!r}; allowed: seeds like 0,1,2 or 0-4.")
        if int(last or first) < int(first):
            raise UsageError(f"--seeds is {text!r}, but {first}-{last} is not a range. Did you mean {last}-{first}?")
        seeds += range(int(first), int(last or first) + 1)
    if len(set(seeds)) != len(seeds) or not seeds:
        raise UsageError(f"--seeds is {text!r}, which names a seed twice; name every seed once.")
    return seeds


def started_seeds(seeds: Sequence[int], folder: Path, *, resume: bool) -> set[int]:
    """Return the seeds that have a run below a folder to resume.

    Args:
        seeds: The seeds to train.
        folder: The folder of all.
        resume: Whether runs are to be resumed.

    Raises:
        UsageError: The folder is a run itself, or another seed's folder is not empty.
    """
    from reslab.artifacts.run_folder import RunFolder

    if RunFolder.is_run(folder):
        raise UsageError(
            f"{folder} is a run, but --seeds needs a folder to put one run per seed into; choose another --run-dir."
        )
    started = {seed for seed in seeds if resume and (folder / str(seed) / "config.json").exists()}
    for seed in set(seeds) - started:
        check_is_free(folder / str(seed))
    return started


def share_config(config: "RunConfig", folder: Path, *, is_started: bool) -> Path:
    """Write the config that all seeds have in common.

    Args:
        config: The config.
        folder: The folder of all seeds.
        is_started: Whether a seed has a run already, whose config must be the same.

    Returns:
        The path of the config.

    Raises:
        UsageError: The seeds were started with a different config, which is kept.
    """
    from reslab.artifacts.run_folder import RunFolder
    from reslab.config import to_dict
    from reslab.runs.session import check_same_config

    shared = RunFolder(folder)
    path = folder / "config.json"
    if is_started and path.is_file():
        check_same_config(shared, config)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        shared.write_config(to_dict(config))
    return path


def train_seeds(
    words: Sequence[str], seeds: Sequence[int], folder: Path, *, started: Collection[int], jobs: int
) -> int:
    """Train each seed by its own command; return the highest exit code.

    Args:
        words: What the commands have in common after `reslab train`.
        seeds: The seeds to train, each into its folder below `folder`.
        folder: The folder of all.
        started: Those to resume.
        jobs: How many train at a time.
    """
    commands = []
    for seed in seeds:
        place = ["--seed", str(seed), "--run-dir", str(folder / str(seed))]
        commands.append(["train", *words, *place, *(["--resume"] if seed in started else [])])
    return run_side_by_side(commands, jobs)
