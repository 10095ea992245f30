"""The chapters of the book: an experiment's evidence at a size, and what follows from it."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from markupsafe import Markup

from reslab.errors import RunError
from reslab.report.figures.style import to_svg
from reslab.report.html import figure_markup

from .arms import FIRST_SEED, SIZES, Size
from .catalog import EXPERIMENTS
from .evidence import AnyEvidence
from .experiment import AnyExperiment, ResultTable
from .record_store import RecordStore, evidence_path
from .verdict import Verdict, outcomes_in_words
from .wording import date_of, provenance_in_words, settings_in_words

PLACES = list(product(EXPERIMENTS.values(), SIZES))  # in the order of the book


@dataclass(frozen=True)
class Chapter:
    """One experiment at one size: its evidence, and what follows from it.

    Verdict and table are computed once: a page asks for the table in every cell.
    """

    experiment: AnyExperiment
    evidence: AnyEvidence

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each part of the claim."""
        return tuple(self.experiment.judge(self.evidence))

    @property
    def heading(self) -> str:
        """Return "Size small: reproduced"; what needs no data is the same at every size."""
        where = f"Size {self.evidence.size}" if self.experiment.uses_data else "Computed"
        return f"{where}: {self.outcome}"

    @property
    def outcome(self) -> str:
        """The outcomes in words, for all parts of the claim."""
        return outcomes_in_words(self.verdicts)

    @property
    def sentences(self) -> str:
        """The numbers that the outcomes follow from."""
        return " ".join(verdict.sentence for verdict in self.verdicts)

    @property
    def is_after_data(self) -> bool:
        """Whether the evidence was known when the rule was written."""
        size = self.evidence.size
        is_early = bool(self.evidence.records) and self.evidence.document.first_seed < FIRST_SEED[size]
        orders = {self.evidence.config(arm).data.order for arm in self.evidence.records}
        return size in self.experiment.rule_after_data or is_early or "archive" in orders

    @property
    def power(self) -> str:
        """The half-widths of what was judged, in a sentence; "" where nothing has one."""
        parts = [verdict.power for verdict in self.verdicts if verdict.power]
        if not parts:
            return ""
        return f"Smallest effects that could be seen: {'; '.join(parts)}."

    @property
    def paper(self) -> str:
        """The paper's numbers in one line."""
        return "; ".join(f"{what}: {value}" for what, value in self.experiment.paper)

    @cached_property
    def table(self) -> ResultTable:
        return self.experiment.table(self.evidence)

    @property
    def settings(self) -> str:
        if not self.evidence.records:
            return "Nothing is trained"
        return settings_in_words(self.evidence)

    @property
    def command(self) -> str:
        """What repeats it."""
        count = self.evidence.num_seeds
        seeds = "" if count in (0, self.experiment.seeds(self.evidence.size)) else f" --seeds {count}"
        return f"reslab reproduce {self.experiment.name} --size {self.evidence.size}{seeds}"

    @property
    def date(self) -> str:
        return date_of(self.evidence)

    @property
    def provenance(self) -> str:
        """On what it was trained and measured, in sentences."""
        return provenance_in_words(self.evidence)

    @property
    def table_note(self) -> str:
        """What the numbers of the table mean; empty where they say it themselves."""
        notes = []
        if any("clean" in column for column in self.table.columns):
            notes.append("Clean: of all training images, not augmented, in eval mode, with the last weights.")
        if any("±" in cell for row in self.table.rows for cell in row):
            notes.append("±: standard deviation over the seeds.")
        return " ".join(notes)

    def figure(self) -> Markup:
        """Return the figure as inline SVG to be put on a page; its label states the verdict."""
        name = f"{self.experiment.name}-{self.evidence.size}"
        label = f"{self.experiment.caption} Verdict: {self.outcome}. {self.sentences}"
        return figure_markup(to_svg(self.experiment.draw(self.evidence), name, label))


def read_chapters(results: Path) -> list[Chapter]:
    """Return a chapter for every evidence file, in the order of the paper's argument, sizes ascending.

    Args:
        results: A folder of evidence and records. Its subfolders may hold more: runs that were computed in another way
            and must not be mixed with the others.

    Raises:
        RunError: Evidence is damaged or of another version's experiments, or two folders hold the same experiment at
            the same size.
    """
    return [chapter for place in PLACES if (chapter := read_chapter(results, *place)) is not None]


def read_chapter(results: Path, experiment: AnyExperiment, size: Size) -> Chapter | None:
    """Return what there is of an experiment at a size.

    Args:
        results: As `read_chapters` takes it.
        experiment: The experiment.
        size: The size.

    Returns:
        The chapter; None where there is none.

    Raises:
        RunError: Evidence is damaged, or two folders hold it.
    """
    path = _only_path(results, experiment.name, size)
    return None if path is None else Chapter(experiment, RecordStore.open(path.parent, experiment, size).load())


def _only_path(results: Path, name: str, size: str) -> Path | None:
    """Where the evidence of an experiment at a size lies; None if there is none."""
    file = evidence_path(results, name, size).name
    paths = [*results.glob(file), *sorted(results.glob(f"*/{file}"))]
    if len(paths) > 1:
        raise RunError(
            f"{paths[0]} and {paths[1]} are of the same experiment at the same size, but a book shows one. Move the "
            "other one out of the folder."
        )
    return paths[0] if paths else None
