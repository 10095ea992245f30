"""What an experiment is: a claim of the paper, what to train and measure for it, and how the numbers are judged."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from matplotlib.figure import Figure

from reslab.artifacts.run_folder import RunFolder
from reslab.data import Splits
from reslab.errors import RunError
from reslab.runs.data import data_of_run
from reslab.runs.session import read_config

from .arms import Arm, Size, at_place
from .evidence import Evidence

Outcome = Literal["reproduced", "not reproduced", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, and the sentences with the numbers it follows from, the most important one first."""

    outcome: Outcome
    sentence: str

    @property
    def headline(self) -> str:
        """The first sentence; a full stop within a number or a name does not end it."""
        return re.split(r"(?<=\.) (?=[A-Z])", self.sentence, maxsplit=1)[0]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text below named columns; the first `num_words` columns are words, the others numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_words: int = 1


@dataclass(frozen=True, slots=True)
class Bench:
    """What an experiment measures with. data: where CIFAR-10 lies, None to look for it."""

    size: Size
    data: str | None
    device: torch.device

    def data_of(self, folder: RunFolder) -> Splits:
        """Return a run's data; from `data` where that is given, for the files may have moved since its training.

        Where they are gone and `data` is not given, they are looked for. RunError where they are nowhere, or are other
        data than the run was trained on.
        """
        config = at_place(read_config(folder).data, self.data)
        is_gone = config.path is not None and not Path(config.path).expanduser().exists()
        if self.data is None and is_gone and config.kind != "folder":  # which is nowhere to be looked for
            config = replace(config, path=None)
        found = data_of_run(folder, config)
        there, now = folder.environment()["data"].get("fingerprint"), found.splits.train.fingerprint()
        if there not in (None, now):  # older runs do not say
            place = config.path or "what was found"
            raise RunError(f"{place} is other data than {folder.path} was trained on (fingerprints {now}, {there}).")
        return found.splits


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A claim as something to run.

    claim: in one or two sentences; source: where in the paper; paper: its own numbers, (what, how much).
    rule: how the verdict follows from the numbers, in words; `judge` does it.
    arms: what to train at a size.
    measure: what to measure beside the runs, as JSON values.
    measure_run: what to measure on a finished run's network, a JSON value; of the arms `measured`, or of all of them.
    how: with which constants; what was measured with others does not go with it.
    table, draw: what the page shows; several tables come in the order given.
    seeds: how many by default. caption: what the figure shows.
    """

    name: str
    title: str
    claim: str
    source: str
    paper: tuple[tuple[str, str], ...]
    rule: str
    caption: str
    judge: Callable[[Evidence], Verdict]
    table: Callable[[Evidence], Table]
    draw: Callable[[Evidence], Figure]
    arms: Callable[[Size], tuple[Arm, ...]] = lambda size: ()
    measure: Callable[[Bench], dict[str, Any]] | None = None
    measure_run: Callable[[RunFolder, Bench], Any] | None = None
    measured: Callable[[Size], Sequence[Arm]] | None = None
    how: Callable[[Size], dict[str, Any]] = lambda size: {}
    seeds: int = 3

    def measured_arms(self, size: Size) -> Sequence[Arm]:
        """The arms on whose networks something is measured."""
        if self.measure_run is None:
            return ()
        return self.arms(size) if self.measured is None else self.measured(size)
