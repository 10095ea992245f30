"""The first thing to run: `degradation` on the embedded digits, with the two depths it is judged by and a time budget.

The claim (paper Sec. 1, Fig. 1, Fig. 6): a deeper plain net has a higher *training* error than its shallower twin, so
it is not overfitting; the same nets with shortcuts do not.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from reslab.artifacts.record import RecordedRun
from reslab.artifacts.run_folder import RunFolder
from reslab.errors import UsageError, counted
from reslab.runs.record import record_of

from .arms import ArmRun
from .claims import degradation
from .evidence import Evidence, EvidenceDocument
from .record_store import model_hash
from .runner import ObserverMaker, Runner
from .verdict import Verdict

log = logging.getLogger(__name__)

_FOUND = {
    ("plain nets", "reproduced"): "the deeper one trains worse",
    ("plain nets", "not reproduced"): "the deeper one does not train worse",
    ("residual nets", "reproduced"): "the deeper one trains as well",
    ("residual nets", "not reproduced"): "the deeper one trains worse",
}
_ROUND_MARGIN = 1.2  # a round may take this much longer than the longest before it


@dataclass(frozen=True, slots=True)
class Demo:
    """The finished runs of a demo, seed by seed, and the verdict on them."""

    folders: tuple[RunFolder, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdicts in words, whichever way they fell, and the rule behind them."""
        seeds = len(self.folders) // len(degradation.judged_arms("digits"))
        if seeds == 1:
            heads = ["One seed has no interval and is only an example: more time or more seeds would decide."]
        else:
            heads = [_in_words(verdict) for verdict in self.verdicts]
        return (" ".join(heads), " ".join(verdict.sentence for verdict in self.verdicts), degradation.GAP_RULE)


def _in_words(verdict: Verdict) -> str:
    found = _FOUND.get((verdict.part, verdict.outcome))
    return f"{verdict.part.capitalize()}: {verdict.label}{f', {found}' if found else ''}."


def run_demo(path: Path, *, minutes: float, max_seeds: int, observe: ObserverMaker) -> Demo:
    """Train the networks below `path`, seed after seed, while another round fits into the time, and judge them.

    Finished runs in the folder are used again, unfinished ones are resumed.

    Args:
        path: Runs go to its ARM/SEED.
        minutes: The time budget; the first round is always finished.
        max_seeds: Largest number of rounds.
        observe: Makes the progress display of a run.

    Raises:
        UsageError: There would be no seed, or no time.
    """
    if max_seeds < 1 or minutes <= 0:
        raise UsageError(
            f"seeds is {max_seeds} and minutes is {minutes:g}; allowed: at least 1 seed, more than 0 minutes."
        )
    runner, arms = Runner(path, 1, observe), degradation.judged_arms("digits")
    start, longest_round = time.monotonic(), 0.0
    folders: list[RunFolder] = []
    records: dict[str, list[RecordedRun]] = {arm.name: [] for arm in arms}
    for seed in range(max_seeds):
        elapsed = time.monotonic() - start
        if seed and elapsed + _ROUND_MARGIN * longest_round > 60 * minutes:
            log.info("%s in %.0f s; another would not fit into %g minutes.", counted(seed, "seed"), elapsed, minutes)
            break
        for run, folder in zip(runs := [ArmRun(arm, seed) for arm in arms], runner.train(runs), strict=True):
            folders.append(folder)
            records[run.arm.name].append(RecordedRun(folder.path, record_of(folder)))
        longest_round = max(longest_round, time.monotonic() - start - elapsed)
    models = {arm: [model_hash(record) for record in of_arm] for arm, of_arm in records.items()}
    document = EvidenceDocument(
        experiment="degradation", size="digits", models=models, constants={}, networks={}, once=None
    )
    return Demo(tuple(folders), degradation.judge_gaps(Evidence(document, records)))
