"""What an experiment is: a claim of the paper, what to train and measure for it, and how the numbers are judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic

import torch
from matplotlib.figure import Figure

from reslab.artifacts.run_folder import RunFolder
from reslab.data import Splits
from reslab.errors import RunError
from reslab.runs.data import data_of_run
from reslab.runs.session import read_config

from .arms import SIZES, Arm, Size, at_place
from .evidence import Evidence, EvidenceDocument, NetworkT, OnceT
from .verdict import Verdict


@dataclass(frozen=True, slots=True)
class ResultTable:
    """Rows of text below named columns; the first `num_words` columns are words, the others numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_words: int = 1


@dataclass(frozen=True, slots=True)
class Bench:
    """What an experiment measures with.

    Attributes:
        size: The size of the experiment's arms.
        data: Where CIFAR-10 is; None to look for it.
        device: What to measure on.
    """

    size: Size
    data: str | None
    device: torch.device

    def data_of(self, folder: RunFolder) -> Splits:
        """Return a run's data, from `data` where that is given.

        Where the run's files are gone and `data` is not given, they are looked for.

        Raises:
            RunError: The data is missing, or differs from what the run was trained on.
        """
        config = at_place(read_config(folder).data, self.data)
        is_gone = config.path is not None and not Path(config.path).expanduser().exists()
        if self.data is None and is_gone and config.kind != "folder":  # which is nowhere to be looked for
            config = replace(config, path=None)
        splits = data_of_run(folder, config).splits
        recorded, found = folder.environment().data.fingerprint, splits.train.fingerprint()
        if recorded != found:
            raise RunError(
                f"{folder.path} was trained on different data (recorded fingerprint {recorded}, "
                f"{config.path or 'the data at hand'} has {found}). Pass the original data."
            )
        return splits


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkMeasurement(Generic[NetworkT]):
    """What an experiment measures on trained networks; kept by the hash of the model file and the constants.

    Attributes:
        form: The type of the value.
        measure: Returns the value of a finished run.
        constants: What the value depends on besides the network, at a size.
        arms: The arms whose networks are measured, at a size; None for all of the experiment's.
    """

    form: type[NetworkT]
    measure: Callable[[RunFolder, Bench], NetworkT]
    constants: Callable[[Size], dict[str, int]] = field(default=lambda size: {})
    arms: Callable[[Size], Sequence[Arm]] | None = None


@dataclass(frozen=True, slots=True)
class SingleMeasurement(Generic[OnceT]):
    """What an experiment measures each time that it is run, next to its runs.

    Attributes:
        form: The type of the value.
        measure: Returns the value.
    """

    form: type[OnceT]
    measure: Callable[[Bench], OnceT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment(Generic[NetworkT, OnceT]):
    """A claim as something to run.

    Attributes:
        name: What it is called in commands and files.
        title: Its page's title.
        claim: The claim in one or two sentences.
        source: Where the paper makes the claim.
        paper: The paper's own numbers, (what, how much).
        rule: How the verdict follows from the numbers, in words; `judge` applies it.
        caption: What the figure shows.
        judge: Returns the verdict, or one for each part of the claim.
        table: Returns the page's table.
        draw: Returns the page's figure.
        arms: What to train at a size.
        networks: What to measure on the trained networks.
        once: What to measure next to the runs.
        seeds: How many of each network by default, at a size.
        is_beyond: Whether the claim is not the paper's but was made after it.
        sizes: The sizes that it can run at.
        uses_data: Whether anything depends on a size's data.
        rule_after_data: The sizes at which the evidence was known when the rule was written.
    """

    name: str
    title: str
    claim: str
    source: str
    paper: tuple[tuple[str, str], ...]
    rule: str
    caption: str
    judge: Callable[[Evidence[NetworkT, OnceT]], Sequence[Verdict]]
    table: Callable[[Evidence[NetworkT, OnceT]], ResultTable]
    draw: Callable[[Evidence[NetworkT, OnceT]], Figure]
    arms: Callable[[Size], tuple[Arm, ...]] = lambda size: ()
    networks: NetworkMeasurement[NetworkT] | None = None
    once: SingleMeasurement[OnceT] | None = None
    seeds: Callable[[Size], int] = field(default=lambda size: 3)
    is_beyond: bool = False
    sizes: tuple[Size, ...] = SIZES
    uses_data: bool = True
    rule_after_data: frozenset[Size] = frozenset()

    def needs_photos(self, size: Size) -> bool:
        """Return whether its data at a size is a folder of photos, which has no usual place."""
        return any(arm.config.data.kind == "folder" for arm in self.arms(size))

    def measured_arms(self, size: Size) -> Sequence[Arm]:
        """Return the arms on whose networks something is measured."""
        if self.networks is None:
            return ()
        return (self.networks.arms or self.arms)(size)

    def constants(self, size: Size) -> dict[str, int]:
        """Return the constants of what is measured on the networks."""
        return {} if self.networks is None else self.networks.constants(size)

    @property
    def document_form(self) -> type[EvidenceDocument[NetworkT, OnceT]]:
        """The form of the experiment's evidence files."""
        generic: Any = EvidenceDocument  # a subscript of variables is none to the type checker
        return generic[self.networks and self.networks.form, self.once and self.once.form]


AnyExperiment = Experiment[Any, Any]
