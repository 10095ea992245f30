"""The first thing to run: plain and residual twins of 20 and 56 layers on the embedded digits, several seeds.

The claim (paper Sec. 1, Fig. 1, Fig. 6): a deeper plain net has a higher *training* error than its shallower twin, so
it is not overfitting; the same nets with shortcuts do not. The verdict is computed from what was measured.
"""

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from reslab.artifacts.run_folder import RunFolder
from reslab.config import RunConfig
from reslab.errors import UsageError
from reslab.recipes import recipe
from reslab.runs.train import train_run
from reslab.train import Observer

from .arms import KINDS

log = logging.getLogger(__name__)

SHALLOW, DEEP = 20, 56
MARGIN = 1.0  # points of training error that count as a difference: about ten of the 1,078 training images
_ROUND_MARGIN = 1.2  # a round may take this much longer than the longest before it

ObserverMaker = Callable[[str, int, int], AbstractContextManager[Observer]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the runs say about the claim. gaps: deep minus shallow clean training error, in points, one per seed."""

    gaps: dict[str, tuple[float, ...]]

    @property
    def plain_degrades(self) -> bool:
        """Whether the deeper plain net trained worse than its twin with every seed."""
        return min(self.gaps["plain"]) > MARGIN

    @property
    def residual_degrades(self) -> bool:
        """Whether the deeper residual net trained worse than its twin with any seed."""
        return max(self.gaps["resnet"]) > MARGIN

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict in words, whichever way it fell, and the rule behind it."""
        seeds = len(self.gaps["plain"])
        plain, residual = (statistics.mean(self.gaps[kind]) for kind in KINDS)
        if self.plain_degrades and not self.residual_degrades:
            head = "Reproduced: the deeper plain net trains worse, the deeper residual net does not."
        elif self.plain_degrades:
            head = "Partly reproduced: the deeper plain net trains worse, but so does the deeper residual net"
            head += "." if min(self.gaps["resnet"]) > MARGIN else " with some of the seeds."
        else:
            head = "Not reproduced: the deeper plain net did not train worse with every seed."
        if seeds == 1:
            head += " This is one seed: an example, and no proof."
        return (
            head,
            f"From {SHALLOW} to {DEEP} layers the training error changes by {plain:+.2f} points in plain nets and by "
            f"{residual:+.2f} points in residual nets (mean over {seeds} seed{'s' if seeds > 1 else ''}).",
            f"Rule: plain nets degrade if every seed's difference is above {MARGIN:g} point; residual nets degrade if "
            f"any seed's is. Training error: clean training images, eval mode, last weights.",
        )


@dataclass(frozen=True, slots=True)
class Demo:
    """The finished runs, seed by seed, and what they say."""

    folders: tuple[RunFolder, ...]
    verdict: Verdict


def run_demo(path: Path, *, minutes: float, max_seeds: int, observe: ObserverMaker) -> Demo:
    """Train the four networks below `path`, seed after seed, while another round fits into `minutes`.

    Finished runs found there are used, unfinished ones are gone on with. UsageError for less than one seed or no time.
    """
    if max_seeds < 1 or minutes <= 0:
        raise UsageError(
            f"seeds is {max_seeds} and minutes is {minutes:g}; allowed: at least 1 seed, more than 0 minutes."
        )
    start = time.monotonic()
    folders: list[RunFolder] = []
    longest_round = 0.0
    for seed in range(max_seeds):
        elapsed = time.monotonic() - start
        if seed and elapsed + _ROUND_MARGIN * longest_round > 60 * minutes:
            log.info("%d seed(s) in %.0f s; another would not fit into %g minutes.", seed, elapsed, minutes)
            break
        folders += [_train(path, _config(kind, depth, seed), observe) for kind in KINDS for depth in (SHALLOW, DEEP)]
        longest_round = max(longest_round, time.monotonic() - start - elapsed)
    return Demo(tuple(folders), judge(folders))


def judge(folders: Sequence[RunFolder]) -> Verdict:
    """Compute the verdict from finished runs of all four networks, with the same seeds."""
    errors: dict[tuple[str, int], float] = {}
    for folder in folders:
        result = folder.result()
        assert result is not None
        errors[result["recipe"], result["seed"]] = result["final"]["train"]["error"]
    seeds = sorted({seed for _, seed in errors})
    gaps = {
        kind: tuple(errors[f"digits-{kind}{DEEP}", seed] - errors[f"digits-{kind}{SHALLOW}", seed] for seed in seeds)
        for kind in KINDS
    }
    return Verdict(gaps)


def _config(kind: str, depth: int, seed: int) -> RunConfig:
    return replace(recipe(f"digits-{kind}{depth}"), seed=seed)


def _train(path: Path, config: RunConfig, observe: ObserverMaker) -> RunFolder:
    folder = path / config.recipe / str(config.seed)
    is_started = (folder / "config.json").exists()
    if is_started and RunFolder.open(folder).result() is not None:
        return RunFolder.open(folder)
    with observe(f"{config.recipe} seed {config.seed}", config.train.iterations, config.train.batch_size) as observer:
        return train_run(config, folder, resume=is_started, observers=[observer])
